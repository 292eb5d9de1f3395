/** How many engines share the pictures of a request. */
import { availableParallelism } from 'node:os';
import type { Components } from '../components/components.ts';
import { type EngineDevice, isOnProcessor } from '../engines/create-engine.ts';
import { mention, mentioning, SettingError } from '../errors.ts';
import { elementCount } from '../graph/shape.ts';
import { machineMemory } from '../pipelines/node/machine-memory.ts';

export interface ReplicaOptions {
  readonly device?: EngineDevice | undefined;
  readonly threads?: number | undefined;
  readonly lowMemory?: boolean | undefined;
  readonly batchSize?: number | undefined;
  readonly replicas?: number | undefined;
}

/** Pictures for each replica, from which on it is worth having them. */
const LEAST_SHARE = 2;
/** The part of the machine's memory that their weights may take. */
const MEMORY_SHARE = 0.25;

/**
 * As many as were asked for; else one per core on the processor, where the batch is large enough and the model small
 * enough for each to hold it; else none. Throws UsageError for replicas that
 * would have nothing to do.
 */
export function replicasFor(options: ReplicaOptions, model: Components): number | undefined {
  const { device = 'cpu', threads, lowMemory, batchSize = 1, replicas } = options;
  if (replicas !== undefined) {
    requireUse(replicas, batchSize, lowMemory);
    return replicas;
  }
  const cores = availableParallelism();
  if (!isOnProcessor(device) || threads !== undefined || lowMemory || batchSize < LEAST_SHARE * cores)
    return undefined;
  const bytes = cores * weightBytes(model);
  return bytes <= MEMORY_SHARE * machineMemory() ? cores : undefined;
}

function requireUse(replicas: number, batchSize: number, lowMemory: boolean | undefined): void {
  if (replicas === 1) return;
  if (lowMemory) {
    throw new SettingError(
      'replicas',
      'replicas',
      mentioning`${replicas}: with ${mention('lowMemory', 'low memory')} one engine holds one network at a time; leave out one of the two`,
    );
  }
  if (replicas > batchSize) {
    throw new SettingError(
      'replicas',
      'replicas',
      mentioning`${replicas}: they share a batch, and that has ${batchSize}; use a ${mention('batchSize', 'batch size')} that is a multiple of ${replicas}`,
    );
  }
}

/** Of all weights, in float32. */
function weightBytes({ unet, vae, textEncoder, second }: Components): number {
  const networks = [unet, vae, textEncoder, ...(second ? [second.textEncoder] : [])];
  const shapes = networks.flatMap(({ weights }) => [...weights.values()].map(({ shape }) => shape));
  return 4 * shapes.reduce((sum, shape) => sum + elementCount(shape), 0);
}
