/** The embedded model drawing, and what the machine's speed means for a large one. */

import { denoiser } from '../../components/denoiser.ts';
import { EMBEDDED_MODEL } from '../../components/node/embedded-models.ts';
import { abortable } from '../../engines/abortable.ts';
import { createEngine } from '../../engines/create-engine.ts';
import { InputError } from '../../errors.ts';
import { stableDiffusion15 } from '../../models/presets.ts';
import { loadPipeline } from '../../pipelines/node/load.ts';
import type { Pipeline } from '../../pipelines/pipeline.ts';
import { denoiserFlops } from '../../speed/flops.ts';
import { gemmPeak } from '../../speed/gemm-peak.ts';
import { measure } from '../../speed/timing.ts';
import { disposeUnlessCancelled } from '../dispose.ts';
import type { EngineName } from '../options/engine.ts';

/** The embedded model, after it has drawn a picture. Throws InputError when it cannot. */
export async function openedModel(
  device: EngineName,
  signal: AbortSignal,
): Promise<{ readonly pipeline: Pipeline; readonly seconds: number }> {
  const start = performance.now();
  const pipeline = await loadPipeline(EMBEDDED_MODEL, { device });
  try {
    const { images } = await pipeline.generate(request(signal));
    const { data } = images[0]!;
    if (data.every((value) => value === data[0])) {
      throw new InputError('the embedded model draws pictures of one colour; is the installation damaged?', {
        code: 'mismatch',
      });
    }
    return { pipeline, seconds: (performance.now() - start) / 1000 };
  } catch (error) {
    await disposeUnlessCancelled(signal, pipeline);
    throw error;
  }
}

export interface Speed {
  /** GFLOP/s of the fastest matrix product. */
  readonly gemmPeak: number;
  /** Of the embedded model, one picture at a time. */
  readonly picturesPerSecond: number;
  readonly steps: number;
  /** An estimate for one pass of Stable Diffusion 1.5's UNet at 512×512, and its arithmetic. */
  readonly secondsPerLargeStep: number;
  readonly gflopsPerLargeStep: number;
}

/** Large networks reach about this much of the peak: convolutions more, attention and what lies between less. */
const SHARE_OF_PEAK = 0.75;

/** Takes about `seconds`, longer only where a single run does. */
export async function measureSpeed(
  pipeline: Pipeline,
  device: EngineName,
  seconds: number,
  signal: AbortSignal,
): Promise<Speed> {
  const engine = createEngine({ device });
  let peak: number;
  try {
    const measuring = gemmPeak(engine, { sizes: [512, 1024], seconds: seconds / 4, atLeast: 1 });
    peak = await abortable(measuring, signal);
  } finally {
    await disposeUnlessCancelled(signal, engine);
  }
  let steps = 0;
  const draw = async () => {
    ({ steps } = (await pipeline.generate(request(signal))).settings);
  };
  const { best } = await measure(draw, { seconds: seconds / 2, atLeast: 1 });
  const { unetLCM, textEncoder } = stableDiffusion15;
  const flops = denoiserFlops(
    denoiser('UNet2DConditionModel', unetLCM.config),
    textEncoder.config.max_position_embeddings,
  );
  return {
    gemmPeak: peak,
    picturesPerSecond: 1 / best,
    steps,
    secondsPerLargeStep: flops / 1e9 / (SHARE_OF_PEAK * peak),
    gflopsPerLargeStep: flops / 1e9,
  };
}

function request(signal: AbortSignal) {
  return { prompt: 'a red-roofed cottage on green hills at sunset', seed: 0, signal };
}
