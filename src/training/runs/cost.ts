/** What a training takes: memory and disk told from its shapes, and the time of a step from one that is run. */
import { abortable } from '../../engines/abortable.ts';
import { UsageError } from '../../errors.ts';
import { formatBytes } from '../../format-bytes.ts';
import { zeros } from '../../graph/host-tensor.ts';
import { memoryUse } from '../../graph/memory.ts';
import type { Program } from '../../graph/program.ts';
import { elementCount } from '../../graph/shape.ts';
import { machineMemory } from '../../pipelines/node/machine-memory.ts';
import type { Weights } from '../../weights/weights.ts';
import { compileShares } from '../update/data-parallel.ts';
import type { RunConfig } from './config.ts';
import type { Recipe, WrittenStep } from './recipe.ts';
import { type RunIO, replicasOf } from './run.ts';

/** In bytes. */
export interface RunSpace {
  /** At least: the trained numbers with their gradient, moments and averages, frozen weights, and a step's values. */
  readonly memory: number;
  /** Of the latents cache and of checkpoints. */
  readonly disk: number;
}

/** step: of one of `replicas` that share a batch. */
export function spaceOf(
  config: RunConfig,
  recipe: Pick<Recipe, 'averages' | 'cacheBytes'>,
  { trained }: Pick<WrittenStep, 'trained'>,
  step: Program,
  replicas: number,
): RunSpace {
  const numbers = [...trained.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const averages = 1 + Object.keys(recipe.averages ?? {}).length;
  const { weights, activations } = memoryUse(step);
  // What is kept of checkpoints, and the next one while it is written.
  const checkpoints = (config.cadence.keepCheckpoints + 1) * 4 * numbers * (3 + averages);
  return {
    memory: 4 * numbers * (4 + averages) + replicas * (weights + activations),
    disk: checkpoints + (recipe.cacheBytes ?? 0),
  };
}

/** Throws UsageError for a training that needs more memory than there is, with what would help. */
export function requireMemory(
  { memory }: RunSpace,
  config: RunConfig,
  trained: WrittenStep['trained'],
): void {
  const limit = machineMemory();
  if (memory <= limit) return;
  const numbers = [...trained.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const remedies = [
    ...(config.batch > 1 ? ['a smaller batch, with "accumulate" for as many pictures in an update'] : []),
    'smaller pictures',
    ...('lora' in config && config.lora === null ? ['a LoRA ("lora")'] : []),
    'a smaller model',
  ];
  throw new UsageError(
    `training ${(numbers / 1e6).toFixed(0)} M parameters in batches of ${config.batch} needs at least ${formatBytes(memory)} of memory, ` +
      `there are ${formatBytes(limit)}; use ${remedies.join(', or ')}`,
    { code: 'not-enough-memory' },
  );
}

/**
 * Seconds that the gradients of one update take here, by compiling the step and running it twice on zeros. The reading of
 * pictures and the update itself come on top.
 */
export async function measureStep(
  step: Program,
  frozen: Weights | undefined,
  config: RunConfig,
  io: Pick<RunIO, 'engine' | 'replicas' | 'signal'>,
): Promise<number> {
  const engines = replicasOf(io);
  const compiling = compileShares(engines, step, { weights: frozen, name: 'training step' });
  const program = await abortable(compiling, io.signal);
  try {
    const unbound = [...step.parameters].filter(([name]) => !frozen?.has(name));
    const all = [...step.inputs, ...unbound];
    const values = Object.fromEntries(all.map(([name, { shape, dtype }]) => [name, zeros(shape, dtype)]));
    // The first run has memory to ask for.
    await abortable(program.run(values), io.signal);
    const begun = performance.now();
    await abortable(program.run(values), io.signal);
    return (config.accumulate * (performance.now() - begun)) / 1000;
  } finally {
    if (!io.signal?.aborted) await program.dispose();
  }
}
