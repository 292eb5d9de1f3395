/** From a model's scheduler_config.json and a request to the sampler of one run. */
import { type PredictionType, predictionTypes } from '../diffusion/prediction.ts';
import {
  checkSamplerConfig,
  type Sampler,
  type SamplerKind,
  type SchedulerConfig,
  samplerFromConfig,
  samplerKind,
} from '../diffusion/samplers/index.ts';
import { InputError, UsageError } from '../errors.ts';

export const schedulerNames = [
  'lcm',
  'tcd',
  'ddim',
  'pndm',
  'euler',
  'euler-a',
  'dpm++',
  'dpm++-karras',
] as const;
export type SchedulerName = (typeof schedulerNames)[number];

export interface Scheduler {
  /** diffusers' class, e.g. `LCMScheduler`. */
  readonly className: string;
  /** What the class is called in requests; undefined when there is no such sampler here. */
  readonly name: SchedulerName | undefined;
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

/** Checks a scheduler_config.json. Throws InputError naming the field that is wrong or not supported. */
export function scheduler(className: string, json: unknown): Scheduler {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new InputError(`scheduler config: expected a JSON object, found ${JSON.stringify(json)}`);
  }
  const config = json as SchedulerConfig;
  const predictionType = predictionTypes.find((type) => type === (config.prediction_type ?? 'epsilon'));
  if (predictionType === undefined) {
    throw new InputError(
      `scheduler config: prediction_type ${JSON.stringify(config.prediction_type)} is not supported; ` +
        `supported: ${predictionTypes.join(', ')}`,
    );
  }
  const kind = samplerKind(className);
  if (kind !== undefined) checkSamplerConfig(kind, config);
  return { className, name: kind && requestName(kind, config), config, predictionType };
}

/** What a kind of sampler is called in requests. */
function requestName(kind: SamplerKind, config: SchedulerConfig): SchedulerName {
  if (kind === 'euler-ancestral') return 'euler-a';
  if (kind === 'dpm-solver') return config.use_karras_sigmas === true ? 'dpm++-karras' : 'dpm++';
  return kind;
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
      `timesteps and original steps are for the schedulers lcm and tcd; this one is ${name}`,
    );
  }
  if (eta !== undefined && name !== 'ddim' && name !== 'tcd') {
    throw new UsageError(`eta ${eta}: only the schedulers ddim and tcd take it; this one is ${name}`);
  }
  const chosen = { ...(timesteps === undefined ? { steps } : { timesteps }), originalSteps, strength };
  switch (name) {
    case 'lcm':
      return samplerFromConfig('lcm', config, { ...chosen, batchSize });
    case 'tcd':
      return samplerFromConfig('tcd', config, { ...chosen, gamma: eta });
    case 'ddim':
      return samplerFromConfig('ddim', config, { steps, eta, batchSize });
    case 'pndm':
    case 'euler':
      return samplerFromConfig(name, config, { steps });
    case 'euler-a':
      return samplerFromConfig('euler-ancestral', config, { steps });
    case 'dpm++':
    case 'dpm++-karras': {
      const spaced = { ...config, use_karras_sigmas: name === 'dpm++-karras' };
      return samplerFromConfig('dpm-solver', spaced, { steps, batchSize });
    }
  }
}
