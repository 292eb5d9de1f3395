/** Every sampler, and the way from a diffusers scheduler_config.json to one. */
import { UsageError } from '../../errors.ts';
import { readConfig, type SchedulerConfig, type SupportedValues } from './config.ts';
import { type DdimOptions, ddimDefaults, ddimSampler } from './ddim.ts';
import { type DpmSolverOptions, dpmSolverDefaults, dpmSolverSampler } from './dpm-solver.ts';
import { type EulerOptions, eulerDefaults, eulerSampler } from './euler.ts';
import {
  type EulerAncestralOptions,
  eulerAncestralDefaults,
  eulerAncestralSampler,
} from './euler-ancestral.ts';
import { type LcmOptions, lcmDefaults, lcmSampler } from './lcm.ts';
import { type PndmOptions, pndmDefaults, pndmSampler } from './pndm.ts';
import type { Sampler } from './sampler.ts';
import { type TcdOptions, tcdDefaults, tcdSampler } from './tcd.ts';

export type { SchedulerConfig } from './config.ts';
export { ddimSampler } from './ddim.ts';
export { dpmSolverSampler } from './dpm-solver.ts';
export { eulerSampler } from './euler.ts';
export { eulerAncestralSampler } from './euler-ancestral.ts';
export { lcmSampler } from './lcm.ts';
export { pndmSampler } from './pndm.ts';
export { type Sampler, type SamplerStep, type SigmaSampler, startStep } from './sampler.ts';
export { tcdSampler } from './tcd.ts';

export const samplerKinds = ['lcm', 'tcd', 'ddim', 'pndm', 'euler', 'euler-ancestral', 'dpm-solver'] as const;
export type SamplerKind = (typeof samplerKinds)[number];

/** What any sampler can be asked for; each takes those that mean something to it. */
export type SamplerOptions = LcmOptions &
  TcdOptions &
  Partial<DdimOptions> &
  Partial<PndmOptions> &
  Partial<EulerOptions> &
  Partial<EulerAncestralOptions> &
  Partial<DpmSolverOptions>;

const accepted: Readonly<Record<SamplerKind, readonly (keyof SamplerOptions)[]>> = {
  lcm: ['steps', 'timesteps', 'strength', 'originalSteps', 'batchSize'],
  tcd: ['steps', 'timesteps', 'strength', 'originalSteps', 'gamma'],
  ddim: ['steps', 'eta', 'batchSize'],
  pndm: ['steps'],
  euler: ['steps'],
  'euler-ancestral': ['steps'],
  'dpm-solver': ['steps', 'batchSize'],
};

const eulerSupported: SupportedValues = {
  interpolation_type: ['linear'],
  use_exponential_sigmas: [false],
  use_beta_sigmas: [false],
  timestep_type: ['discrete'],
};

const dpmSolverSupported: SupportedValues = {
  algorithm_type: ['dpmsolver++'],
  solver_type: ['midpoint'],
  use_exponential_sigmas: [false],
  use_beta_sigmas: [false],
  use_lu_lambdas: [false],
  use_flow_sigmas: [false],
  use_dynamic_shifting: [false],
  variance_type: [null],
};

/** How each kind reads a scheduler_config.json. */
const read = {
  lcm: (config: SchedulerConfig) => readConfig('lcm', config, lcmDefaults),
  tcd: (config: SchedulerConfig) => readConfig('tcd', config, tcdDefaults),
  ddim: (config: SchedulerConfig) => readConfig('ddim', config, ddimDefaults),
  pndm: (config: SchedulerConfig) => readConfig('pndm', config, pndmDefaults),
  euler: (config: SchedulerConfig) => readConfig('euler', config, eulerDefaults, eulerSupported),
  'euler-ancestral': (config: SchedulerConfig) =>
    readConfig('euler-ancestral', config, eulerAncestralDefaults),
  'dpm-solver': (config: SchedulerConfig) =>
    readConfig('dpm-solver', config, dpmSolverDefaults, dpmSolverSupported),
} as const satisfies Record<SamplerKind, (config: SchedulerConfig) => object>;

/** The 50-point grid and more of a consistency model's scheduler_config.json. Throws InputError as above. */
export const readLcmConfig = read.lcm;

/** Throws InputError for the first field of a scheduler_config.json that this kind of sampler cannot honour. */
export function checkSamplerConfig(kind: SamplerKind, config: SchedulerConfig): void {
  read[kind](config);
}

/**
 * A sampler of the given kind for a model with the given scheduler_config.json. The file may be another
 * sampler's: fields that this one does not have are left alone, as in diffusers' from_config.
 * @throws InputError for a field value that is not supported, UsageError for options that do not fit
 */
export function samplerFromConfig(
  kind: SamplerKind,
  config: SchedulerConfig,
  options: SamplerOptions,
): Sampler {
  const foreign = (Object.keys(options) as (keyof SamplerOptions)[]).find(
    (option) => options[option] !== undefined && !accepted[kind].includes(option),
  );
  if (foreign !== undefined) {
    throw new UsageError(`${foreign}: the ${kind} sampler takes ${accepted[kind].join(', ')}`);
  }
  if (kind === 'lcm') return lcmSampler(read.lcm(config), options);
  if (kind === 'tcd') return tcdSampler(read.tcd(config), options);

  const { steps } = options;
  if (steps === undefined) throw new UsageError(`the ${kind} sampler needs a number of steps`);
  if (kind === 'ddim') return ddimSampler(read.ddim(config), { ...options, steps });
  if (kind === 'pndm') return pndmSampler(read.pndm(config), { steps });
  if (kind === 'euler') return eulerSampler(read.euler(config), { steps });
  if (kind === 'euler-ancestral') return eulerAncestralSampler(read[kind](config), { steps });
  return dpmSolverSampler(read['dpm-solver'](config), { ...options, steps });
}

const classes: Readonly<Record<string, SamplerKind>> = {
  LCMScheduler: 'lcm',
  TCDScheduler: 'tcd',
  DDIMScheduler: 'ddim',
  PNDMScheduler: 'pndm',
  EulerDiscreteScheduler: 'euler',
  EulerAncestralDiscreteScheduler: 'euler-ancestral',
  DPMSolverMultistepScheduler: 'dpm-solver',
};

/** The kind of sampler that a scheduler_config.json's `_class_name` stands for; undefined when there is none here. */
export function samplerKind(className: string): SamplerKind | undefined {
  return classes[className];
}
