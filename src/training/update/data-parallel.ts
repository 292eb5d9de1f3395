/**
 * One training step on several engines at once: each takes a share of the batch. On a processor, engines of one thread
 * each beat one engine of many threads, whose threads wait for each other after every operator.
 */
import type { CompileOptions, Engine, Executable } from '../../engines/engine.ts';
import { UsageError } from '../../errors.ts';
import { partOf } from '../../graph/batch.ts';
import { float32Data, type HostTensor } from '../../graph/host-tensor.ts';
import type { Program } from '../../graph/program.ts';
import { formatShape, sameShape } from '../../graph/shape.ts';

/** The pictures that each of `replicas` engines takes of a batch. Throws UsageError when it does not divide. */
export function shareOf(batch: number, replicas: number): number {
  if (batch % replicas === 0) return batch / replicas;
  throw new UsageError(
    `a batch of ${batch} cannot be shared equally among ${replicas} replicas; choose a multiple, or other replicas`,
  );
}

/** A training step on one engine or more. */
export interface SharedStep {
  /** Takes a whole batch and gives what the step computes for each share of it. */
  run(inputs: Readonly<Record<string, HostTensor>>): Promise<readonly Readonly<Record<string, HostTensor>>[]>;
  dispose(): Promise<void>;
}

/**
 * Compiles a training step that is written for a share of the batch, once for each engine. Of the batch's inputs each
 * takes a part along the first axis, unless they have the share's shape already, as what all samples have in common does.
 */
export async function compileShares(
  engines: readonly Engine[],
  share: Program,
  options: CompileOptions,
): Promise<SharedStep> {
  return new Shares(share, await Promise.all(engines.map((engine) => engine.compile(share, options))));
}

class Shares implements SharedStep {
  readonly #share: Program;
  readonly #executables: readonly Executable[];

  constructor(share: Program, executables: readonly Executable[]) {
    this.#share = share;
    this.#executables = executables;
  }

  async run(inputs: Readonly<Record<string, HostTensor>>): Promise<Record<string, HostTensor>[]> {
    const parts = this.#executables.map((_, part) => this.#partOf(inputs, part));
    return Promise.all(this.#executables.map((executable, part) => executable.run(parts[part]!)));
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

/** A training step for pictures of several sizes: a program for each, compiled when a batch of that size comes. */
export class SizedStep implements SharedStep {
  readonly #programs: readonly Program[];
  readonly #compile: (program: Program) => Promise<SharedStep>;
  readonly #compiled = new Map<Program, Promise<SharedStep>>();

  constructor(programs: readonly Program[], compile: (program: Program) => Promise<SharedStep>) {
    this.#programs = programs;
    this.#compile = compile;
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
  ): Promise<readonly Readonly<Record<string, HostTensor>>[]> {
    const program = this.#programs.find(({ inputs: declared }) =>
      [...declared].every(
        ([name, { shape }]) => inputs[name] && sameShape(inputs[name].shape.slice(1), shape.slice(1)),
      ),
    );
    if (!program) throw new Error('no training step is written for batches of this shape');
    const compiled = this.#compiled.get(program) ?? this.#compile(program);
    this.#compiled.set(program, compiled);
    return (await compiled).run(inputs);
  }

  async dispose(): Promise<void> {
    const compiled = await Promise.allSettled(this.#compiled.values());
    await Promise.all(compiled.map((one) => one.status === 'fulfilled' && one.value.dispose()));
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

/** A scalar of all shares: its mean. */
export function meanScalar(shares: readonly HostTensor[]): number {
  return shares.reduce((sum, tensor) => sum + float32Data(tensor)[0]!, 0) / shares.length;
}
