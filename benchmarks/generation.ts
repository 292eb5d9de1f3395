/** Pictures per second of a model: whole pictures, from sentence to pixels. */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { postcard } from '../src/datasets/postcards/postcards.ts';
import { type LoadOptions, loadPipeline } from '../src/pipelines/node/load.ts';
import { pictureFlops } from '../src/speed/flops.ts';
import { measure } from '../src/speed/timing.ts';

export const EMBEDDED_MODEL = fileURLToPath(new URL('../../models/postcards', import.meta.url));

export interface GenerationSpeed {
  readonly steps: number;
  readonly batch: number;
  readonly picturesPerSecond: number;
  readonly gflops: number;
}

/**
 * Measures every combination of steps and batch sizes, with a prompt of its own for each picture and one engine per
 * core for what can be shared, as the commands do.
 */
export async function measureGeneration(
  directory: string,
  stepCounts: readonly number[],
  batches: readonly number[],
  options: LoadOptions = {},
): Promise<GenerationSpeed[]> {
  const pipeline = await loadPipeline(directory, { ...options, replicas: availableParallelism() });
  const results: GenerationSpeed[] = [];
  try {
    for (const steps of stepCounts) {
      for (const batch of batches) {
        const prompt = Array.from({ length: batch }, (_, i) => postcard(i, { split: 'test' }).caption);
        const { best } = await measure(() => pipeline.generate({ prompt, steps, seed: 0 }), { seconds: 3 });
        const flops = pictureFlops(pipeline.model, steps);
        const picturesPerSecond = batch / best;
        results.push({ steps, batch, picturesPerSecond, gflops: (picturesPerSecond * flops) / 1e9 });
      }
    }
  } finally {
    await pipeline.dispose();
  }
  return results;
}
