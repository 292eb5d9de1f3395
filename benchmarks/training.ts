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

export interface TrainingSpeed {
  readonly stage: string;
  readonly batch: number;
  readonly picturesPerSecond: number;
  readonly gflops: number;
}

/** Steps of each run; the first ones, which also fill caches, are not counted. */
const STEPS = 24;
const WARMUP_STEPS = 6;

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
    latents: { pictures: 2048, file: join(folder, 'latents.safetensors') },
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

interface Timed {
  readonly result: RunResult;
  /** Seconds of the fastest counted step. */
  readonly best: number;
}

async function timed(io: RunIO, run: (io: RunIO) => Promise<RunResult>): Promise<Timed> {
  let last = performance.now();
  let best = Number.POSITIVE_INFINITY;
  const onProgress = (event: TrainingEvent) => {
    if (event.type !== 'step') return;
    const now = performance.now();
    if (event.step > WARMUP_STEPS) best = Math.min(best, (now - last) / 1000);
    last = now;
  };
  const result = await run({ ...io, onProgress });
  return { result, best };
}

function speed(stage: string, { result, best }: Timed): TrainingSpeed {
  const { config, flopsPerStep } = result.plan;
  return {
    stage,
    batch: config.batch,
    picturesPerSecond: config.batch / best,
    gflops: flopsPerStep / best / 1e9,
  };
}
