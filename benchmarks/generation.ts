/** Pictures per second of a model: whole pictures, from sentence to pixels. */
import { fileURLToPath } from 'node:url';
import { postcard } from '../src/datasets/postcards/postcards.ts';
import { createNodeEngine } from '../src/engines/onnxruntime-node/engine.ts';
import { countFlops } from '../src/graph/flops.ts';
import { program } from '../src/graph/program.ts';
import { input } from '../src/graph/tensor.ts';
import { DeclaredParams } from '../src/layers/params.ts';
import { clipText } from '../src/models/clip-text.ts';
import { unet2DCondition } from '../src/models/unet-2d-condition.ts';
import type { Components } from '../src/pipelines/components.ts';
import { diffusersFiles } from '../src/pipelines/node/diffusers-files.ts';
import { createPipeline } from '../src/pipelines/pipeline.ts';
import { measure } from './timing.ts';

export const EMBEDDED_MODEL = fileURLToPath(new URL('../../models/postcards', import.meta.url));

export interface GenerationSpeed {
  readonly steps: number;
  readonly batch: number;
  readonly picturesPerSecond: number;
  readonly gflops: number;
}

/** Measures every combination of steps and batch sizes, with a prompt of its own for each picture. */
export async function measureGeneration(
  directory: string,
  stepCounts: readonly number[],
  batches: readonly number[],
): Promise<GenerationSpeed[]> {
  const pipeline = await createPipeline(await diffusersFiles(directory), createNodeEngine());
  const results: GenerationSpeed[] = [];
  try {
    for (const steps of stepCounts) {
      for (const batch of batches) {
        const prompt = Array.from({ length: batch }, (_, i) => postcard(i, { split: 'test' }).caption);
        const { best } = await measure(() => pipeline.run({ prompt, steps, seed: 0 }), { seconds: 3 });
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

/** FLOPs of a single picture in each stage. */
export interface StageFlops {
  readonly textEncoder: number;
  /** Of one pass. */
  readonly unet: number;
  readonly decoder: number;
}

/** FLOPs of one picture: text encoder once, UNet at every step, decoder once. */
export function pictureFlops(model: Components, steps: number): number {
  const { textEncoder, unet, decoder } = stageFlops(model);
  return textEncoder + steps * unet + decoder;
}

/** Counted from the graphs, at the size the model was made for. */
export function stageFlops({ vae, unet, textEncoder }: Components): StageFlops {
  const { params } = new DeclaredParams();
  const length = textEncoder.config.max_position_embeddings;
  const { sample_size: size, in_channels: channels, time_cond_proj_dim: guidance } = unet.config;
  const side = size ?? 64;
  const states = clipText(textEncoder.config, params.in('text'), input('ids', [1, length], 'int64'));
  const prediction = unet2DCondition(unet.config, params.in('unet'), {
    sample: input('sample', [1, channels, side, side]),
    timestep: input('timestep', [1]),
    encoderHiddenStates: input('states', states.lastHiddenState.shape),
    timestepCond: guidance === null ? undefined : input('guidance', [1, guidance]),
  });
  const pixels = vae.config.decode(params.in('vae'), input('latents', [1, channels, side, side]));
  return {
    textEncoder: countFlops(program({ states: states.lastHiddenState })),
    unet: countFlops(program({ prediction })),
    decoder: countFlops(program({ pixels })),
  };
}
