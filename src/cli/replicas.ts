/** How many engines share the batches of a command that draws. */
import { availableParallelism } from 'node:os';
import type { Components } from '../components/components.ts';
import { UsageError } from '../errors.ts';
import { machineMemory } from '../pipelines/node/machine-memory.ts';
import type { GenerationOptions } from './generation-options.ts';
import { summarize } from './info/numbers.ts';

export interface ReplicaOptions extends GenerationOptions {
  readonly batchSize: number;
  readonly replicas?: number;
}

/** Pictures for each replica, from which on it is worth having them. */
const LEAST_SHARE = 2;
/** The part of the machine's memory that their weights may take. */
const MEMORY_SHARE = 0.25;

/**
 * As many as were asked for; else one per core on the processor, where the batch is large enough and the model small
 * enough for each to hold it; else none. model: the one that the options name. Throws UsageError for replicas that
 * would have nothing to do.
 */
export function replicasFor(options: ReplicaOptions, model: Components): number | undefined {
  const { engine, threads, lowMemory, batchSize, replicas } = options;
  if (replicas !== undefined) {
    requireUse(replicas, options);
    return replicas;
  }
  const cores = availableParallelism();
  if (engine !== 'cpu' || threads !== undefined || lowMemory || batchSize < LEAST_SHARE * cores)
    return undefined;
  const bytes = cores * weightBytes(model);
  return bytes <= MEMORY_SHARE * machineMemory() ? cores : undefined;
}

function requireUse(replicas: number, { batchSize, lowMemory }: ReplicaOptions): void {
  if (replicas === 1) return;
  if (lowMemory) {
    throw new UsageError(
      `--replicas ${replicas}: with --low-memory one engine holds one network at a time; leave out one of the two`,
    );
  }
  if (replicas > batchSize) {
    throw new UsageError(
      `--replicas ${replicas}: they share a batch, and that has ${batchSize}; use a --batch-size that is a multiple of ${replicas}`,
    );
  }
}

/** Of all weights, in float32. */
function weightBytes({ unet, vae, textEncoder, second }: Components): number {
  const networks = [unet, vae, textEncoder, ...(second ? [second.textEncoder] : [])];
  return 4 * networks.reduce((sum, { weights }) => sum + summarize(weights).parameters, 0);
}
