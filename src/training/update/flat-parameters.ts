/**
 * The trained parameters of a run as one flat float32 array with a view per name, so that optimiser, averages and
 * checkpoints are each a loop over one array.
 */
import { float32Data, type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { elementCount, formatShape, type Shape, sameShape } from '../../graph/shape.ts';
import type { RandomSource } from '../../layers/initializers.ts';
import type { Declaration } from '../../layers/params.ts';

/** Where a parameter lies in the flat array. */
export interface Slot {
  readonly name: string;
  readonly shape: Shape;
  readonly offset: number;
  readonly length: number;
}

/** Trained parameters by name, all in one array, which lies in memory that all threads see. */
export class FlatParameters {
  readonly slots: readonly Slot[];
  readonly values: Float32Array;
  readonly #views = new Map<string, HostTensor>();

  /** Zeros in the order of `shapes`. */
  constructor(shapes: ReadonlyMap<string, Shape>) {
    const slots: Slot[] = [];
    let offset = 0;
    for (const [name, shape] of shapes) {
      const length = elementCount(shape);
      slots.push({ name, shape, offset, length });
      offset += length;
    }
    this.slots = slots;
    this.values = new Float32Array(new SharedArrayBuffer(4 * offset));
    for (const { name, shape, offset, length } of slots) {
      this.#views.set(name, hostTensor(this.values.subarray(offset, offset + length), shape));
    }
  }

  /** Zeros of the same names and shapes. */
  zerosLike(): FlatParameters {
    return new FlatParameters(new Map(this.slots.map(({ name, shape }) => [name, shape])));
  }

  /** A copy with the same values, which shares nothing. */
  clone(): FlatParameters {
    const copy = this.zerosLike();
    copy.values.set(this.values);
    return copy;
  }

  /** The view of one parameter: it changes as training goes on. */
  tensor(name: string): HostTensor {
    const view = this.#views.get(name);
    if (!view) throw new Error(`there is no trained parameter called "${name}"`);
    return view;
  }

  /** All views by `prefix` + name, ready to be fed to a program. */
  tensors(prefix = ''): Record<string, HostTensor> {
    return Object.fromEntries([...this.#views].map(([name, view]) => [`${prefix}${name}`, view]));
  }

  /** Copies a value in; throws when name or shape do not fit. */
  set(name: string, value: HostTensor): void {
    const view = this.tensor(name);
    if (!sameShape(view.shape, value.shape)) {
      throw new Error(
        `the parameter ${name} has the shape ${formatShape(view.shape)}, the value given ${formatShape(value.shape)}`,
      );
    }
    float32Data(view).set(float32Data(value));
  }
}

/** Room for every declared parameter, filled by its initialiser in the order of declaration. */
export function initialize(
  declarations: ReadonlyMap<string, Declaration>,
  random: RandomSource,
): FlatParameters {
  const parameters = new FlatParameters(new Map([...declarations].map(([name, { shape }]) => [name, shape])));
  for (const [name, { shape, initializer }] of declarations) {
    parameters.set(name, hostTensor(initializer(shape, random), shape));
  }
  return parameters;
}
