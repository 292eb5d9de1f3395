/**
 * One training step on several engines at once: each takes a share of the batch, and the gradients are averaged.
 * On a processor, engines of one thread each beat one engine of many threads, whose threads wait for each other after
 * every operator.
 */
import type { CompileOptions, Engine, Executable, RunOptions } from '../../engines/engine.ts';
import { UsageError } from '../../errors.ts';
import { joined, partOf } from '../../graph/batch.ts';
import { float32Data, type HostTensor } from '../../graph/host-tensor.ts';
import type { Program } from '../../graph/program.ts';
import { formatShape, sameShape } from '../../graph/shape.ts';
import { GRADIENT_PREFIX } from '../objectives/objective.ts';

/** The pictures that each of `replicas` engines takes of a batch. Throws UsageError when it does not divide. */
export function shareOf(batch: number, replicas: number): number {
  if (batch % replicas === 0) return batch / replicas;
  throw new UsageError(
    `a batch of ${batch} cannot be shared equally among ${replicas} replicas; choose a multiple, or other replicas`,
  );
}

/**
 * Compiles a training step that is written for a share of the batch, once for each engine. The result takes whole
 * batches: inputs are cut along their first axis, unless they have the share's shape already, as what all samples
 * have in common does; losses and gradients are averaged, losses by sample joined.
 */
export async function compileShares(
  engines: readonly Engine[],
  share: Program,
  options: CompileOptions,
): Promise<Executable> {
  const executables = await Promise.all(engines.map((engine) => engine.compile(share, options)));
  return executables.length === 1 ? executables[0]! : new SharedStep(share, executables);
}

class SharedStep implements Executable {
  readonly #share: Program;
  readonly #executables: readonly Executable[];

  constructor(share: Program, executables: readonly Executable[]) {
    this.#share = share;
    this.#executables = executables;
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    options?: RunOptions,
  ): Promise<Record<string, HostTensor>> {
    const parts = this.#executables.map((_, part) => this.#partOf(inputs, part));
    const results = await Promise.all(
      this.#executables.map((executable, part) => executable.run(parts[part]!, options)),
    );
    const whole: Record<string, HostTensor> = {};
    for (const [name, { shape }] of this.#share.outputs) {
      const tensors = results.map((result) => result[name]!);
      const averaged = shape.length === 0 || name.startsWith(GRADIENT_PREFIX);
      whole[name] = averaged ? average(tensors) : joined(tensors);
    }
    return whole;
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#executables.map((executable) => executable.dispose()));
  }

  #partOf(inputs: Readonly<Record<string, HostTensor>>, part: number): Record<string, HostTensor> {
    const parts = Object.entries(inputs).map(([name, tensor]) => {
      const declared = this.#share.inputs.get(name);
      return [name, declared ? cut(name, tensor, declared.shape, part, this.#executables.length) : tensor];
    });
    return Object.fromEntries(parts) as Record<string, HostTensor>;
  }
}

/** Part `part` of `parts` of a tensor along its first axis. */
function cut(
  name: string,
  tensor: HostTensor,
  shape: readonly number[],
  part: number,
  parts: number,
): HostTensor {
  if (sameShape(tensor.shape, shape)) return tensor;
  if (!sameShape(tensor.shape, [shape[0]! * parts, ...shape.slice(1)])) {
    throw new Error(
      `the input ${name} of shape ${formatShape(tensor.shape)} is not ${parts} times ${formatShape(shape)}`,
    );
  }
  return partOf(tensor, part, parts);
}

/** The mean of tensors of one shape, in the first one's memory. */
function average(tensors: readonly HostTensor[]): HostTensor {
  const [first, ...rest] = tensors.map(float32Data) as [Float32Array, ...Float32Array[]];
  const last = rest.pop();
  for (const other of rest) addInto(first, other);
  // The last sum and the scaling share one pass over memory: the gradients of a network do not stay in a cache.
  if (last) addAndScale(first, last, 1 / tensors.length);
  return tensors[0]!;
}

function addInto(sum: Float32Array, other: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + other[i]!;
}

function addAndScale(sum: Float32Array, other: Float32Array, factor: number): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i]! + other[i]!) * factor;
}
