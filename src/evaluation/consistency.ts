/**
 * The property that a latent consistency model is named after: f(x_t, t) is the same picture wherever on a
 * trajectory of the probability flow one stands (Song et al. 2023, section 3; Luo et al. 2023, eq. 5). Here it is
 * looked at and measured, for a model and for the diffusion model that it was distilled from.
 */

import type { Components } from '../components/components.ts';
import { createSampler, type SamplerRequest } from '../components/scheduler.ts';
import { addNoise, noiseSchedule } from '../diffusion/noise-schedule.ts';
import { readSamplerConfig } from '../diffusion/samplers/index.ts';
import { skippingGrid } from '../diffusion/skipping-grid.ts';
import { InputError, mention, mentioning, SettingError } from '../errors.ts';
import { float32Data, type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { type Image, tensorToImage } from '../images/image.ts';
import type { Networks } from '../networks/networks.ts';
import { denoise } from '../pipelines/denoise.ts';
import { settingsOf } from '../pipelines/settings.ts';
import { encodePrompts, tokenizePrompts } from '../pipelines/text-encoding.ts';
import { Generator } from '../random/generator.ts';
import { randnTensor } from '../random/randn-tensor.ts';
import { mean } from './mean.ts';

/** A model ready to be asked. */
export interface LoadedModel {
  readonly model: Components;
  readonly networks: Networks;
}

/**
 * Where the x_t lie. `trajectory`: on the probability flow that the teacher's guided DDIM follows, from the noised
 * picture at the last timestep down. `noised`: x_t = α_t z + σ_t ε, the same picture and noise at every level.
 */
export type ConsistencyView = 'trajectory' | 'noised';

export interface ConsistencyOptions {
  readonly student: LoadedModel;
  /** What it was distilled from; without it there is no trajectory and nothing to compare with. */
  readonly teacher?: LoadedModel | undefined;
  readonly prompt: string;
  /** z, the picture's latents as the UNet sees them: [1, C, h, w]. */
  readonly latents: HostTensor;
  /** Of the noise ε. */
  readonly seed: number;
  readonly guidanceScale: number;
  readonly view: ConsistencyView;
  /** Pictures per row of the figure. */
  readonly columns: number;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Root mean squares in units of the latents, whose standard deviation is about 1. */
export interface ConsistencyErrors {
  /** Between f at neighbouring levels, mean over the grid. */
  readonly adjacent: number;
  /** Between f at a level and f at the end of the trajectory, mean over the grid. */
  readonly drift: number;
}

export interface ConsistencyColumn {
  readonly timestep: number;
  /** x_t, decoded. */
  readonly noisy: Image;
  /** f(x_t, t) of the teacher and of the student, decoded. */
  readonly before?: Image;
  readonly after: Image;
}

export interface ConsistencyExplanation {
  readonly view: ConsistencyView;
  readonly prompt: string;
  readonly seed: number;
  readonly guidanceScale: number;
  /** Levels over which the errors are taken. */
  readonly levels: number;
  readonly errors: { readonly before?: ConsistencyErrors; readonly after: ConsistencyErrors };
  /** From the noisiest on. */
  readonly columns: readonly ConsistencyColumn[];
}

/** The errors of f's values along one trajectory, in the order of the levels, the end of the trajectory last. */
export function consistencyErrors(outputs: readonly Float32Array[]): ConsistencyErrors {
  const end = outputs.at(-1);
  if (end === undefined || outputs.length < 2) {
    throw new RangeError(`${outputs.length} levels: expected at least 2 to compare`);
  }
  const before = outputs.slice(0, -1);
  return {
    adjacent: mean(before.map((value, n) => distance(value, outputs[n + 1]!))),
    drift: mean(before.map((value) => distance(value, end))),
  };
}

/** Throws InputError for models that do not fit each other or are no consistency models, UsageError for bad options. */
export async function explainConsistency(options: ConsistencyOptions): Promise<ConsistencyExplanation> {
  const { student, teacher, latents, seed, view, prompt, guidanceScale, columns, signal } = options;
  requireFitting(student.model, teacher?.model, view);
  const config = readSamplerConfig('lcm', student.model.scheduler.config);
  const grid = skippingGrid(config.original_inference_steps, config.num_train_timesteps);
  const timesteps = [...grid.timesteps].reverse();
  if (!Number.isInteger(columns) || columns < 2 || columns > timesteps.length) {
    throw new SettingError(
      'columns',
      'columns',
      `${columns}: expected a whole number from 2 to ${timesteps.length}`,
    );
  }
  const total = timesteps.length * ((view === 'trajectory' ? 1 : 0) + (teacher ? 2 : 1));
  let done = 0;
  const step = () => options.onProgress?.(++done, total);

  const noise = randnTensor(latents.shape, new Generator(seed));
  const schedule = noiseSchedule(config);
  const noised = (t: number) => addNoise(schedule, float32Data(latents), noise, [t]);
  const asked = { prompt, guidanceScale, shape: latents.shape, signal };
  const after = await conditioned(student, asked);
  const before = teacher && (await conditioned(teacher, asked));

  const samples: Float32Array[] = [];
  if (view === 'trajectory') {
    for await (const sample of probabilityFlow(before!, noised(timesteps[0]!), timesteps)) {
      samples.push(sample);
      step();
    }
  } else {
    samples.push(...timesteps.map(noised));
  }
  const outputsOf = async (f: Conditioned) => {
    const outputs: Float32Array[] = [];
    for (const [n, t] of timesteps.entries()) {
      outputs.push(await consistencyFunction(f, samples[n]!, t));
      step();
    }
    return outputs;
  };
  const outputs = { before: before && (await outputsOf(before)), after: await outputsOf(after) };

  const picture = async (values: Float32Array): Promise<Image> => {
    const pixels = await student.networks.decode(hostTensor(values, latents.shape), { signal });
    const [, , height, width] = pixels.shape as [number, number, number, number];
    return tensorToImage(float32Data(pixels), width, height);
  };
  const shown: ConsistencyColumn[] = [];
  for (let column = 0; column < columns; column++) {
    const n = Math.round((column * (timesteps.length - 1)) / (columns - 1));
    shown.push({
      timestep: timesteps[n]!,
      noisy: await picture(samples[n]!),
      ...(outputs.before && { before: await picture(outputs.before[n]!) }),
      after: await picture(outputs.after[n]!),
    });
  }
  return {
    view,
    prompt,
    seed,
    guidanceScale,
    levels: timesteps.length,
    columns: shown,
    errors: {
      ...(outputs.before && { before: consistencyErrors(outputs.before) }),
      after: consistencyErrors(outputs.after),
    },
  };
}

/** What the errors say, in two sentences. */
export function describeErrors({
  errors: { before, after },
}: Pick<ConsistencyExplanation, 'errors'>): string[] {
  const compared = (error: keyof ConsistencyErrors) =>
    before === undefined
      ? after[error].toFixed(4)
      : `${before[error].toFixed(4)} before, ${after[error].toFixed(4)} after distillation, ${change(before[error], after[error])}`;
  return [
    `Self-consistency error, RMS between f at neighbouring levels: ${compared('adjacent')}.`,
    `RMS between f at a level and f at the end: ${compared('drift')}.`,
  ];
}

function change(before: number, after: number): string {
  return before / after > 1.05 ? `${(before / after).toFixed(1)} times less` : 'which is not less';
}

/** A model with one caption and one guidance scale: what remains is a function of x_t and t. */
interface Conditioned extends LoadedModel {
  readonly inputs: Omit<Parameters<typeof denoise>[0], 'latents' | 'sampler'>;
  readonly shape: readonly number[];
}

interface Question {
  readonly prompt: string;
  readonly guidanceScale: number;
  readonly shape: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

async function conditioned(
  { model, networks }: LoadedModel,
  { prompt, guidanceScale, shape, signal }: Question,
): Promise<Conditioned> {
  const settings = settingsOf(model, { prompt, guidanceScale, scheduler: 'lcm', steps: 1, seed: 0 });
  const rows = settings.guidance === 'classifier-free' ? ['', prompt] : [prompt];
  const states = await encodePrompts(networks, tokenizePrompts(model, rows), 0, { signal });
  const { guidanceWidth } = model.unet.config;
  const noise = () => {
    throw new Error('a deterministic sampler asked for noise');
  };
  return { model, networks, shape, inputs: { networks, settings, states, guidanceWidth, noise, signal } };
}

/** f(x_t, t): what a single step of latent consistency sampling makes of x_t. [1, C, h, w] → same. */
async function consistencyFunction(
  f: Conditioned,
  sample: Float32Array,
  timestep: number,
): Promise<Float32Array> {
  const sampler = samplerOf(f, 'lcm', { steps: 1, timesteps: [timestep] });
  for await (const { denoised } of denoise({ ...f.inputs, sampler, latents: hostTensor(sample, f.shape) })) {
    return denoised;
  }
  throw new Error('a sampler with one timestep took no step');
}

/** x_t at each of the timesteps, by DDIM from the first on (Song, Meng and Ermon 2021, eq. 13). */
async function* probabilityFlow(
  f: Conditioned,
  start: Float32Array,
  timesteps: readonly number[],
): AsyncGenerator<Float32Array> {
  const sampler = samplerOf(f, 'ddim', { steps: timesteps.length });
  if (sampler.timesteps.some((t, n) => t !== timesteps[n])) {
    throw new InputError(
      `${f.model.location}: DDIM's timesteps ${sampler.timesteps[0]} … ${sampler.timesteps.at(-1)} are not the grid ` +
        `${timesteps[0]} … ${timesteps.at(-1)} on which the student was distilled; the two do not belong together`,
      { path: f.model.location, code: 'mismatch' },
    );
  }
  yield start;
  let n = 1;
  for await (const { sample } of denoise({ ...f.inputs, sampler, latents: hostTensor(start, f.shape) })) {
    if (n++ < timesteps.length) yield sample;
    else return;
  }
}

function samplerOf({ model }: Conditioned, name: 'lcm' | 'ddim', options: Omit<SamplerRequest, 'batchSize'>) {
  // From the last timestep on and over unbounded latents, whatever the model's own scheduler is set to.
  const config = { ...model.scheduler.config, timestep_spacing: 'trailing', clip_sample: false };
  return createSampler(name, config, { ...options, batchSize: 1 });
}

function requireFitting(student: Components, teacher: Components | undefined, view: ConsistencyView): void {
  if (student.scheduler.name !== 'lcm' && student.scheduler.name !== 'tcd') {
    throw new InputError(
      `${student.location} is no consistency model: its scheduler is ${student.scheduler.className}, expected ` +
        'LCMScheduler or TCDScheduler; a diffusion model can be the teacher',
      { path: student.location },
    );
  }
  if (teacher === undefined) {
    if (view === 'trajectory') {
      throw new SettingError(
        'view',
        'view',
        mentioning`trajectory: it is the teacher's; give the ${mention('teacher')}, or take the view noised`,
      );
    }
    return;
  }
  const [own, other] = [student, teacher].map(({ unet, vae }) => [
    unet.config.latentChannels,
    vae.config.factor,
  ]);
  if (own!.some((value, i) => value !== other![i])) {
    throw new InputError(
      `${teacher.location} and ${student.location} do not share their latents; expected the model that it was distilled from`,
      { path: teacher.location, code: 'mismatch' },
    );
  }
}

/** Root mean square of the difference. */
function distance(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(sum / a.length);
}
