/** Training speed: pictures per second of the real loop, with data, optimiser and averages, on the real networks. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEngine, type EngineOptions } from '../src/engines/create-engine.ts';
import type { Engine } from '../src/engines/engine.ts';
import type { TrainingEvent } from '../src/training/loop/events.ts';
import { diffusionRunConfig } from '../src/training/runs/diffusion-config.ts';
import { consistencyTraining } from '../src/training/runs/distill.ts';
import { distillationRunConfig } from '../src/training/runs/distillation-config.ts';
import { train } from '../src/training/runs/recipe.ts';
import type { RunIO, RunResult } from '../src/training/runs/run.ts';
import { diffusionTraining } from '../src/training/runs/train-diffusion.ts';
import { EMBEDDED_MODEL } from './generation.ts';
import { type OperatorTime, profiled } from './profile.ts';

export interface TrainingSpeed {
  readonly stage: string;
  readonly batch: number;
  /** In the fastest step, and in the one in the middle. */
  readonly picturesPerSecond: number;
  readonly median: number;
  /** In the fastest step. */
  readonly gflops: number;
}

/** Steps of each run; the first ones, in which every picture is encoded, are not counted. */
const STEPS = 28;
const WARMUP_STEPS = 8;

/**
 * Trains a little diffusion model and distils it, in a temporary folder; one engine per core, as the commands do, and
 * to compare diffusion on one engine with all threads.
 */
export async function measureTraining(engine: Engine, options: EngineOptions = {}): Promise<TrainingSpeed[]> {
  const replicas = Array.from({ length: availableParallelism() }, () =>
    createEngine({ ...options, threads: 1 }),
  );
  const folder = await mkdtemp(join(tmpdir(), 'lcm-bench-'));
  const shared = {
    steps: STEPS,
    latents: { pictures: 8 * 32, file: join(folder, 'latents.safetensors') },
    cadence: { checkpointEverySteps: STEPS, sampleEvery: 0 },
  };
  try {
    const diffusion = diffusionRunConfig({ ...shared, vae: EMBEDDED_MODEL });
    const first = await timed({ engine, replicas, directory: join(folder, 'diffusion') }, (io) =>
      train(diffusionTraining, diffusion, io),
    );
    const alone = await timed({ engine, directory: join(folder, 'alone') }, (io) =>
      train(diffusionTraining, diffusion, io),
    );
    const distillation = distillationRunConfig({ ...shared, teacher: first.result.modelDirectory });
    const second = await timed({ engine, replicas, directory: join(folder, 'distillation') }, (io) =>
      train(consistencyTraining, distillation, io),
    );
    return [
      speed('diffusion', first),
      speed('diffusion on one engine', alone),
      speed('distillation', second),
    ];
  } finally {
    await Promise.all(replicas.map((replica) => replica.dispose()));
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of the share of a batch that one of two engines of one thread takes in a diffusion step. */
export async function profileTraining(): Promise<OperatorTime[]> {
  const folder = await mkdtemp(join(tmpdir(), 'lcm-bench-'));
  try {
    const config = diffusionRunConfig({
      steps: PROFILED_STEPS,
      batch: 16,
      latents: { pictures: 16 * PROFILED_STEPS, file: join(folder, 'latents.safetensors') },
      cadence: { checkpointEverySteps: PROFILED_STEPS, sampleEvery: 0 },
      vae: EMBEDDED_MODEL,
    });
    const run = (engine: Engine, name: string) =>
      train(diffusionTraining, config, { engine, directory: join(folder, name) });
    // Latents first, so that of the encoder there is nothing in the profile.
    const encoder = createEngine();
    await run(encoder, 'latents');
    await encoder.dispose();
    return await profiled({ threads: 1 }, PROFILED_STEPS, async (engine) => {
      await run(engine, 'profiled');
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const PROFILED_STEPS = 8;

interface Timed {
  readonly result: RunResult;
  /** Seconds of the counted steps, the fastest first. */
  readonly seconds: readonly number[];
}

async function timed(io: RunIO, run: (io: RunIO) => Promise<RunResult>): Promise<Timed> {
  let last = performance.now();
  const seconds: number[] = [];
  const onProgress = (event: TrainingEvent) => {
    if (event.type !== 'step') return;
    const now = performance.now();
    if (event.step > WARMUP_STEPS) seconds.push((now - last) / 1000);
    last = now;
  };
  const result = await run({ ...io, onProgress });
  return { result, seconds: seconds.sort((a, b) => a - b) };
}

function speed(stage: string, { result, seconds }: Timed): TrainingSpeed {
  const { config, flopsPerStep } = result.plan;
  const best = seconds[0]!;
  return {
    stage,
    batch: config.batch,
    picturesPerSecond: config.batch / best,
    median: config.batch / seconds[seconds.length >> 1]!,
    gflops: flopsPerStep / best / 1e9,
  };
}
