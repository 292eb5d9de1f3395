/** From a diffusers scheduler_config.json and a request to the sampler of one run. */
import { type BetaSchedule, betaSchedules } from '../diffusion/noise-schedule.ts';
import { type PredictionType, predictionTypes } from '../diffusion/prediction.ts';
import { type DdimConfig, ddimSampler } from '../diffusion/samplers/ddim.ts';
import { type DpmSolverConfig, dpmSolverSampler } from '../diffusion/samplers/dpm-solver.ts';
import { type EulerConfig, eulerSampler } from '../diffusion/samplers/euler.ts';
import { type LcmConfig, lcmSampler } from '../diffusion/samplers/lcm.ts';
import type { Sampler } from '../diffusion/samplers/sampler.ts';
import { finalSigmaTypes } from '../diffusion/samplers/sigmas.ts';
import { type TcdConfig, tcdSampler } from '../diffusion/samplers/tcd.ts';
import { timestepSpacings } from '../diffusion/samplers/timestep-spacing.ts';
import { UsageError } from '../errors.ts';
import { type ConfigFields, configFields } from '../models/config.ts';

export const schedulerNames = ['lcm', 'tcd', 'ddim', 'euler', 'dpm++', 'dpm++-karras'] as const;
export type SchedulerName = (typeof schedulerNames)[number];

/** The fields that the file has; what it lacks is up to the sampler, as in diffusers' `from_config`. */
export type SchedulerConfig = Partial<LcmConfig & TcdConfig & DdimConfig & EulerConfig & DpmSolverConfig>;

export interface Scheduler {
  /** diffusers' class, e.g. `LCMScheduler`. */
  readonly className: string;
  /** The sampler that the class stands for; undefined when there is none here. */
  readonly name: SchedulerName | undefined;
  readonly config: SchedulerConfig;
}

export interface SamplerOptions {
  readonly steps: number;
  /** Instead of evenly spread ones; for the consistency samplers. */
  readonly timesteps?: readonly number[] | undefined;
  /** In place of the model's original_inference_steps; for the consistency samplers. */
  readonly originalSteps?: number | undefined;
  /** DDIM's η, TCD's γ: the share of fresh noise, 0 to 1. */
  readonly eta?: number | undefined;
  readonly batchSize: number;
}

const classes: Readonly<Record<string, SchedulerName>> = {
  LCMScheduler: 'lcm',
  TCDScheduler: 'tcd',
  DDIMScheduler: 'ddim',
  EulerDiscreteScheduler: 'euler',
  DPMSolverMultistepScheduler: 'dpm++',
};

/** Fields that some sampler reads, each with its check. Others belong to machinery that is not here. */
const readers: Readonly<Record<keyof SchedulerConfig, (fields: ConfigFields, name: string) => unknown>> = {
  num_train_timesteps: (fields, name) => fields.integer(name, 1000),
  beta_start: (fields, name) => fields.number(name, 0),
  beta_end: (fields, name) => fields.number(name, 0),
  beta_schedule: (fields, name) => fields.choice<BetaSchedule>(name, betaSchedules, 'scaled_linear'),
  trained_betas: () => undefined, // a list of numbers, read by itself
  rescale_betas_zero_snr: (fields, name) => fields.boolean(name, false),
  prediction_type: (fields, name) => fields.choice<PredictionType>(name, predictionTypes, 'epsilon'),
  clip_sample: (fields, name) => fields.boolean(name, false),
  clip_sample_range: (fields, name) => fields.number(name, 1),
  thresholding: (fields, name) => fields.boolean(name, false),
  dynamic_thresholding_ratio: (fields, name) => fields.number(name, 0.995),
  sample_max_value: (fields, name) => fields.number(name, 1),
  original_inference_steps: (fields, name) => fields.integer(name, 50),
  timestep_scaling: (fields, name) => fields.number(name, 10),
  timestep_spacing: (fields, name) => fields.choice(name, timestepSpacings, 'leading'),
  steps_offset: (fields, name) => fields.number(name, 0),
  set_alpha_to_one: (fields, name) => fields.boolean(name, true),
  use_karras_sigmas: (fields, name) => fields.boolean(name, false),
  sigma_min: (fields, name) => fields.optionalNumber(name),
  sigma_max: (fields, name) => fields.optionalNumber(name),
  final_sigmas_type: (fields, name) => fields.choice(name, finalSigmaTypes, 'zero'),
  solver_order: (fields, name) => fields.integer(name, 2),
  lower_order_final: (fields, name) => fields.boolean(name, true),
  euler_at_final: (fields, name) => fields.boolean(name, false),
  lambda_min_clipped: (fields, name) => fields.number(name, Number.NEGATIVE_INFINITY),
};

/** What other classes or newer versions of diffusers have, and no sampler here follows. */
const fixedFields: Readonly<Record<string, readonly (string | boolean | null)[]>> = {
  algorithm_type: ['dpmsolver++'],
  solver_type: ['midpoint'],
  interpolation_type: ['linear'],
  timestep_type: ['discrete'],
  use_exponential_sigmas: [false, null],
  use_beta_sigmas: [false, null],
  use_lu_lambdas: [false, null],
  use_flow_sigmas: [false, null],
};

/** Checks a scheduler_config.json. Throws InputError naming the field that is wrong or not supported. */
export function scheduler(className: string, json: unknown): Scheduler {
  const fields = configFields(className, json);
  const present = Object.entries(json as Readonly<Record<string, unknown>>).filter(
    ([, value]) => value !== null,
  );
  const config: Record<string, unknown> = {};
  for (const [name, value] of present) {
    if (name === 'trained_betas') {
      const valid = Array.isArray(value) && value.every((beta) => typeof beta === 'number');
      config[name] = valid ? value : fields.fail(name, 'a list of numbers, or null');
    } else if (Object.hasOwn(readers, name)) {
      config[name] = readers[name as keyof SchedulerConfig](fields, name);
    }
  }
  const name = classes[className];
  if (name !== undefined)
    for (const [field, supported] of Object.entries(fixedFields)) fields.only(field, ...supported);
  const karras = name === 'dpm++' && config.use_karras_sigmas === true;
  return { className, name: karras ? 'dpm++-karras' : name, config };
}

/** The sampler of one run. Throws UsageError for steps that it cannot take. */
export function createSampler(
  name: SchedulerName,
  config: SchedulerConfig,
  options: SamplerOptions,
): Sampler {
  const { steps, timesteps, originalSteps, eta, batchSize } = options;
  const consistency = name === 'lcm' || name === 'tcd';
  if (!consistency && (timesteps ?? originalSteps) !== undefined) {
    throw new UsageError(
      `timesteps and original steps are for the schedulers lcm and tcd; this one is ${name}`,
    );
  }
  if (eta !== undefined && name !== 'ddim' && name !== 'tcd') {
    throw new UsageError(`eta is for the schedulers ddim and tcd; this one is ${name}`);
  }
  const chosen = timesteps === undefined ? { steps, originalSteps } : { timesteps, originalSteps };
  switch (name) {
    case 'lcm':
      return lcmSampler(config, { ...chosen, batchSize });
    case 'tcd':
      return tcdSampler(config, { ...chosen, gamma: eta });
    case 'ddim':
      return ddimSampler(config, { steps, eta, batchSize });
    case 'euler':
      return eulerSampler(config, { steps });
    case 'dpm++':
      return dpmSolverSampler({ ...config, use_karras_sigmas: false }, { steps, batchSize });
    case 'dpm++-karras':
      return dpmSolverSampler({ ...config, use_karras_sigmas: true }, { steps, batchSize });
  }
}
