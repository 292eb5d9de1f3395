/**
 * What somebody meets who runs the command with a model of Stable Diffusion 1.5's size: seconds until the first step, and
 * the most memory that the process held, for every way of holding weights; and what weights of 8 bits cost in quality.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { postcard } from '../src/datasets/postcards/postcards.ts';
import { psnr } from '../src/evaluation/picture-measures.ts';
import { type Quantization, quantizations } from '../src/graph/quantize.ts';
import { loadPipeline } from '../src/pipelines/node/load.ts';
import { startCommand } from './command.ts';
import { EMBEDDED_MODEL } from './generation.ts';
import { randomStableDiffusion15 } from './random-model.ts';

export interface CommandCost {
  readonly command: string;
  /** Seconds from the start of the process to the beginning of its first step. */
  readonly loaded: number;
  /** Seconds of a step, the fastest but the first. */
  readonly step: number;
  readonly total: number;
  /** The most memory that was resident, in bytes: of the process, and of files that it mapped. */
  readonly peakMemory: number;
}

/** Each time as a new process, which draws with 4 steps and TAESD. Costs come as they are measured. */
export async function* measureMemory(): AsyncGenerator<CommandCost> {
  // Beside the models: the system's temporary folder may lie in memory.
  const cache = await mkdtemp(fileURLToPath(new URL('../compiled-', import.meta.url)));
  const cached = ['--compiled-cache', cache];
  const shown = ['--compiled-cache', 'FOLDER'];
  try {
    yield await measureOnce([]);
    yield { ...(await measureOnce([], true)), command: 'node bin/lcm.js generate' };
    yield await measureOnce(['--low-memory']);
    for (const kind of quantizations) yield await measureOnce(['--quantize', kind]);
    yield { ...(await measureOnce(cached)), command: named([...shown, '(the first time)']) };
    yield { ...(await measureOnce(cached)), command: named(shown) };
    yield { ...(await measureOnce([...cached, '--low-memory'])), command: named([...shown, '--low-memory']) };
    const dynamic = ['--quantize', 'int8-dynamic'];
    await measureOnce([...cached, ...dynamic]);
    yield { ...(await measureOnce([...cached, ...dynamic])), command: named([...shown, ...dynamic]) };
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
}

function named(options: readonly string[]): string {
  return ['lcm generate', ...options].join(' ');
}

async function measureOnce(options: readonly string[], plain = false): Promise<CommandCost> {
  const { model, taesd } = await randomStableDiffusion15();
  const folder = await mkdtemp(join(tmpdir(), 'lcm-bench-'));
  const args = ['generate', 'a red-roofed cottage', '--model', model, '--vae', taesd];
  args.push('--steps', '4', '--seed', '0', '--json', '--out', join(folder, 'picture.png'), ...options);
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  try {
    const child = startCommand(args, { plain });
    const ended = new Promise<number | null>((resolve, reject) =>
      child.on('error', reject).on('exit', resolve),
    );
    const steps: number[] = [];
    let peakMemory = Number.NaN;
    for await (const line of createInterface({ input: child.stdout })) {
      const event: { readonly type: string; readonly peakMemory?: number } = JSON.parse(line);
      if (event.type === 'step') steps.push(seconds());
      if (event.type === 'done') peakMemory = event.peakMemory ?? Number.NaN;
    }
    const status = await ended;
    if (status !== 0) throw new Error(`lcm ${args.join(' ')} ended with ${status}`);
    const step = Math.min(...steps.slice(1).map((at, i) => at - steps[i]!));
    return { command: named(options), loaded: steps[0]! - step, step, total: seconds(), peakMemory };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export interface QuantizationError {
  readonly kind: Quantization;
  readonly steps: number;
  /** Of pictures of the embedded model against those with weights in float32, in dB. */
  readonly least: number;
  readonly median: number;
}

const PICTURES = 16;

/** What weights of 8 bits change in pictures. */
export async function measureQuantization(): Promise<QuantizationError[]> {
  const errors: QuantizationError[] = [];
  await using plain = await loadPipeline(EMBEDDED_MODEL);
  for (const kind of quantizations) {
    await using rounded = await loadPipeline(EMBEDDED_MODEL, { quantize: kind });
    for (const steps of [1, 4]) {
      const prompt = Array.from({ length: PICTURES }, (_, i) => postcard(i, { split: 'test' }).caption);
      const request = { prompt, steps, seed: 0 };
      const [a, b] = [await plain.generate(request), await rounded.generate(request)];
      const decibels = a.images.map((image, i) => psnr(image, b.images[i]!));
      decibels.sort((x, y) => x - y);
      errors.push({ kind, steps, least: decibels[0]!, median: decibels[PICTURES >> 1]! });
    }
  }
  return errors;
}
