/**
 * The inputs of a training step that change with every batch: each leaf of the graph is declared together with how
 * its value is made of what was drawn, so that no name is written twice.
 */
import type { DType } from '../../graph/dtype.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { formatShape, type Shape, sameShape } from '../../graph/shape.ts';
import { input, type Tensor } from '../../graph/tensor.ts';

/** The leaves of one step, over what is drawn for a batch. */
export class Leaves<Drawn> {
  readonly #values = new Map<string, { shape: Shape; value: (drawn: Drawn) => HostTensor }>();
  /** Samples that the graph sees at a time: a replica's share of the batch. */
  readonly share: number;

  constructor(share: number) {
    this.share = share;
  }

  /** A leaf of a shape that does not depend on the batch, or that begins with the share of it. */
  tensor(name: string, shape: Shape, value: (drawn: Drawn) => HostTensor, dtype: DType = 'float32'): Tensor {
    if (this.#values.has(name)) throw new Error(`the leaf ${name} is declared twice`);
    this.#values.set(name, { shape, value });
    return input(name, shape, dtype);
  }

  /** One number for each sample, broadcasting over [B, C, h, w]: [B, 1, 1, 1]. */
  perSample(name: string, values: (drawn: Drawn) => readonly number[]): Tensor {
    return this.tensor(name, [this.share, 1, 1, 1], (drawn) => {
      const numbers = values(drawn);
      return hostTensor(Float32Array.from(numbers), [numbers.length, 1, 1, 1]);
    });
  }

  /** One number for each sample: [B]. */
  vector(name: string, values: (drawn: Drawn) => readonly number[]): Tensor {
    return this.tensor(name, [this.share], (drawn) => {
      const numbers = values(drawn);
      return hostTensor(Float32Array.from(numbers), [numbers.length]);
    });
  }

  /** The values of all leaves for a whole batch, which is any number of shares. */
  inputs(drawn: Drawn): Record<string, HostTensor> {
    return Object.fromEntries(
      [...this.#values].map(([name, { shape, value }]) => {
        const tensor = value(drawn);
        if (tensor.shape.length !== shape.length || !sameShape(fixed(tensor.shape), fixed(shape))) {
          throw new Error(
            `the leaf ${name} is ${formatShape(shape)}, its value ${formatShape(tensor.shape)}`,
          );
        }
        return [name, tensor];
      }),
    );
  }
}

/** What of a leaf's shape is the same in all batches: neither their length, nor the size of pictures. */
function fixed(shape: Shape): Shape {
  return shape.length === 4 ? shape.slice(1, 2) : shape.slice(1);
}
