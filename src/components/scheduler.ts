/** From a model's scheduler_config.json and a request to the sampler of one run. */
import { type PredictionType, predictionTypes } from '../diffusion/prediction.ts';
import {
  readSamplerConfig,
  type Sampler,
  type SamplerKind,
  type SchedulerConfig,
  samplerFromConfig,
  samplerKind,
} from '../diffusion/samplers/index.ts';
import { InputError, mention, mentioning, SettingError, UsageError } from '../errors.ts';
import { isJsonObject } from '../files/json.ts';
import { shown } from '../messages.ts';

/** A kind of sampler, and fields of its configuration that are given with the name. */
interface NamedSampler {
  readonly kind: SamplerKind;
  readonly fields?: SchedulerConfig;
}

const ode = { algorithm_type: 'dpmsolver++' };
const sde = { algorithm_type: 'sde-dpmsolver++' };
const karras = { use_karras_sigmas: true, use_exponential_sigmas: false, use_beta_sigmas: false };

/** What samplers are called in requests. */
export const schedulerNames = [
  'lcm',
  'tcd',
  'ddim',
  'pndm',
  'euler',
  'euler-a',
  'heun',
  'dpm2',
  'dpm++',
  'dpm++-karras',
  'dpm++-sde',
  'dpm++-sde-karras',
  'dpm++-2s',
  'dpm++-2s-sde',
  'unipc',
  'deis',
] as const;

/** One of `schedulerNames`. */
export type SchedulerName = (typeof schedulerNames)[number];

const samplers: Readonly<Record<SchedulerName, NamedSampler>> = {
  lcm: { kind: 'lcm' },
  tcd: { kind: 'tcd' },
  ddim: { kind: 'ddim' },
  pndm: { kind: 'pndm' },
  euler: { kind: 'euler' },
  'euler-a': { kind: 'euler-ancestral' },
  heun: { kind: 'heun' },
  dpm2: { kind: 'kdpm2' },
  'dpm++': { kind: 'dpm-solver', fields: { ...ode, use_karras_sigmas: false } },
  'dpm++-karras': { kind: 'dpm-solver', fields: { ...ode, ...karras } },
  'dpm++-sde': { kind: 'dpm-solver', fields: { ...sde, use_karras_sigmas: false } },
  'dpm++-sde-karras': { kind: 'dpm-solver', fields: { ...sde, ...karras } },
  'dpm++-2s': { kind: 'dpm-solver-singlestep', fields: ode },
  'dpm++-2s-sde': { kind: 'dpm-solver-singlestep', fields: sde },
  unipc: { kind: 'unipc' },
  deis: { kind: 'deis' },
};

/** A model's own. Nothing is wrong with one that cannot be used here while another is asked for. */
export interface Scheduler {
  /** diffusers' class, e.g. `LCMScheduler`. */
  readonly className: string;
  /** What it is called in requests; undefined when it cannot be used here. */
  readonly name: SchedulerName | undefined;
  /** Why it cannot be used. */
  readonly obstacle?: string;
  readonly config: SchedulerConfig;
  readonly predictionType: PredictionType;
}

export interface SamplerRequest {
  readonly steps: number;
  /** Instead of evenly spread ones; for the consistency samplers. */
  readonly timesteps?: readonly number[] | undefined;
  /** In place of the model's original_inference_steps; for the consistency samplers. */
  readonly originalSteps?: number | undefined;
  /** Share of the model's grid to spread the steps over, above 0 up to 1; for the consistency samplers. */
  readonly strength?: number | undefined;
  /** DDIM's η, TCD's γ: the share of fresh noise, 0 to 1. */
  readonly eta?: number | undefined;
  readonly batchSize: number;
}

/**
 * Reads a scheduler_config.json. Throws InputError for what every sampler needs and it has not: an object that says what
 * the network predicts.
 */
export function scheduler(className: string, json: unknown): Scheduler {
  if (!isJsonObject(json)) {
    throw new InputError(`scheduler config: expected a JSON object, found ${shown(json)}`);
  }
  const config: SchedulerConfig = json;
  const predictionType = predictionTypes.find((type) => type === (config.prediction_type ?? 'epsilon'));
  if (predictionType === undefined) {
    throw new InputError(
      `scheduler config: prediction_type ${shown(config.prediction_type)} is not supported; ` +
        `supported: ${predictionTypes.join(', ')}`,
      { code: 'unsupported' },
    );
  }
  return { className, ...ownName(className, config), config, predictionType };
}

function ownName(className: string, config: SchedulerConfig): Pick<Scheduler, 'name' | 'obstacle'> {
  const kind = samplerKind(className);
  if (kind === undefined) return { name: undefined, obstacle: 'it is not among those here' };
  try {
    const read: SchedulerConfig = { ...readSamplerConfig(kind, config) };
    const name = schedulerNames.find((known) => {
      const { kind: ofName, fields = {} }: NamedSampler = samplers[known];
      return ofName === kind && Object.entries(fields).every(([field, value]) => read[field] === value);
    });
    if (name !== undefined) return { name };
    return { name, obstacle: 'its configuration spreads noise levels in several ways at once' };
  } catch (error) {
    if (error instanceof InputError) return { name: undefined, obstacle: error.message };
    throw error;
  }
}

/**
 * The configuration that a sampler reads: the model's, but for what diffusers' pipelines of Stable Diffusion 1 and 2 mend
 * in those of old files when they are made. It is mended whether the file says it or not for the model's own scheduler;
 * another is made by from_config, which takes over what the file says and leaves the rest at its own defaults.
 */
export function samplerConfig(
  own: Scheduler,
  name: SchedulerName,
  { pipelineClass, inpaints }: { readonly pipelineClass: string; readonly inpaints: boolean },
): SchedulerConfig {
  if (!/^StableDiffusion(Img2Img|Inpaint)?Pipeline$/.test(pipelineClass)) return own.config;
  const mended = { steps_offset: 1, ...(inpaints ? { skip_prk_steps: true } : { clip_sample: false }) };
  const fields = Object.entries(mended).filter(([field]) => name === own.name || field in own.config);
  return { ...own.config, ...Object.fromEntries(fields) };
}

/** The sampler of one run. Throws UsageError for steps that it cannot take. */
export function createSampler(
  name: SchedulerName,
  config: SchedulerConfig,
  { steps, timesteps, originalSteps, strength, eta, batchSize }: SamplerRequest,
): Sampler {
  const consistency = name === 'lcm' || name === 'tcd';
  if (!consistency && (timesteps ?? originalSteps) !== undefined) {
    throw new UsageError(
      mentioning`${mention('timesteps')} and ${mention('originalSteps', 'original steps')} are for the schedulers lcm and tcd; this one is ${name}`,
    );
  }
  if (eta !== undefined && name !== 'ddim' && name !== 'tcd') {
    throw new SettingError(
      'eta',
      'eta',
      `${eta}: only the schedulers ddim and tcd take it; this one is ${name}`,
    );
  }
  const chosen = { ...(timesteps === undefined ? { steps } : { timesteps }), originalSteps, strength };
  const { kind, fields }: NamedSampler = samplers[name];
  const read = { ...config, ...fields };
  switch (kind) {
    case 'lcm':
      return samplerFromConfig(kind, read, { ...chosen, batchSize });
    case 'tcd':
      return samplerFromConfig(kind, read, { ...chosen, gamma: eta });
    case 'ddim':
      return samplerFromConfig(kind, read, { steps, eta, batchSize });
    case 'dpm-solver':
    case 'dpm-solver-singlestep':
    case 'unipc':
    case 'deis':
      return samplerFromConfig(kind, read, { steps, batchSize });
    default:
      return samplerFromConfig(kind, read, { steps });
  }
}
