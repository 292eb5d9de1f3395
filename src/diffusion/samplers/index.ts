/** Every sampler, and the way from a diffusers scheduler_config.json to one. */
import { UsageError } from '../../errors.ts';
import { type ConfigReading, readConfig, type SchedulerConfig } from './config.ts';
import { type DdimOptions, ddimDefaults, ddimSampler } from './ddim.ts';
import { type DeisOptions, deisReading, deisSampler } from './deis.ts';
import { type DpmSolverOptions, dpmSolverReading, dpmSolverSampler } from './dpm-solver.ts';
import { type EulerOptions, eulerReading, eulerSampler } from './euler.ts';
import {
  type EulerAncestralOptions,
  eulerAncestralReading,
  eulerAncestralSampler,
} from './euler-ancestral.ts';
import { type HeunOptions, heunDefaults, heunSampler } from './heun.ts';
import { type LcmOptions, lcmDefaults, lcmSampler } from './lcm.ts';
import { type PndmOptions, pndmReading, pndmSampler } from './pndm.ts';
import type { Sampler } from './sampler.ts';
import { type TcdOptions, tcdDefaults, tcdSampler } from './tcd.ts';
import { type UniPcOptions, uniPcReading, uniPcSampler } from './unipc.ts';

export type { SchedulerConfig } from './config.ts';
export { ddimSampler } from './ddim.ts';
export { deisSampler } from './deis.ts';
export { dpmSolverSampler } from './dpm-solver.ts';
export { eulerSampler } from './euler.ts';
export { eulerAncestralSampler } from './euler-ancestral.ts';
export { heunSampler } from './heun.ts';
export { lcmSampler } from './lcm.ts';
export { pndmSampler } from './pndm.ts';
export { type Sampler, type SamplerStep, type SigmaSampler, startStep } from './sampler.ts';
export { tcdSampler } from './tcd.ts';
export { uniPcSampler } from './unipc.ts';

export const samplerKinds = [
  'lcm',
  'tcd',
  'ddim',
  'pndm',
  'euler',
  'euler-ancestral',
  'heun',
  'dpm-solver',
  'unipc',
  'deis',
] as const;
export type SamplerKind = (typeof samplerKinds)[number];

/** What any sampler can be asked for; each takes those that mean something to it. */
export type SamplerOptions = LcmOptions &
  TcdOptions &
  Partial<DdimOptions> &
  Partial<PndmOptions> &
  Partial<EulerOptions> &
  Partial<EulerAncestralOptions> &
  Partial<HeunOptions> &
  Partial<DpmSolverOptions> &
  Partial<UniPcOptions> &
  Partial<DeisOptions>;

const accepted: Readonly<Record<SamplerKind, readonly (keyof SamplerOptions)[]>> = {
  lcm: ['steps', 'timesteps', 'strength', 'originalSteps', 'batchSize'],
  tcd: ['steps', 'timesteps', 'strength', 'originalSteps', 'gamma'],
  ddim: ['steps', 'eta', 'batchSize'],
  pndm: ['steps'],
  euler: ['steps'],
  'euler-ancestral': ['steps'],
  heun: ['steps'],
  'dpm-solver': ['steps', 'batchSize'],
  unipc: ['steps', 'batchSize'],
  deis: ['steps', 'batchSize'],
};

/** How each kind reads a scheduler_config.json. */
const readings = {
  lcm: { defaults: lcmDefaults },
  tcd: { defaults: tcdDefaults },
  ddim: { defaults: ddimDefaults },
  pndm: pndmReading,
  euler: eulerReading,
  'euler-ancestral': eulerAncestralReading,
  heun: { defaults: heunDefaults },
  'dpm-solver': dpmSolverReading,
  unipc: uniPcReading,
  deis: deisReading,
} as const satisfies Record<SamplerKind, ConfigReading<object>>;

/**
 * What a kind of sampler has of a scheduler_config.json, which may be another sampler's: fields that this one does not
 * have are left alone, as in diffusers' from_config. Throws InputError for the first field that it cannot honour.
 */
export function readSamplerConfig<K extends SamplerKind>(
  kind: K,
  config: SchedulerConfig,
): (typeof readings)[K]['defaults'] {
  return readConfig<(typeof readings)[K]['defaults']>(kind, config, readings[kind]);
}

/**
 * A sampler of the given kind for a model with the given scheduler_config.json, read as above.
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
  if (kind === 'lcm') return lcmSampler(readSamplerConfig(kind, config), options);
  if (kind === 'tcd') return tcdSampler(readSamplerConfig(kind, config), options);

  const { steps } = options;
  if (steps === undefined) throw new UsageError(`the ${kind} sampler needs a number of steps`);
  if (kind === 'ddim') return ddimSampler(readSamplerConfig(kind, config), { ...options, steps });
  if (kind === 'pndm') return pndmSampler(readSamplerConfig(kind, config), { steps });
  if (kind === 'euler') return eulerSampler(readSamplerConfig(kind, config), { steps });
  if (kind === 'euler-ancestral') return eulerAncestralSampler(readSamplerConfig(kind, config), { steps });
  if (kind === 'heun') return heunSampler(readSamplerConfig(kind, config), { steps });
  if (kind === 'unipc') return uniPcSampler(readSamplerConfig(kind, config), { ...options, steps });
  if (kind === 'deis') return deisSampler(readSamplerConfig(kind, config), { ...options, steps });
  return dpmSolverSampler(readSamplerConfig(kind, config), { ...options, steps });
}

const classes: ReadonlyMap<string, SamplerKind> = new Map([
  ['LCMScheduler', 'lcm'],
  ['TCDScheduler', 'tcd'],
  ['DDIMScheduler', 'ddim'],
  ['PNDMScheduler', 'pndm'],
  ['EulerDiscreteScheduler', 'euler'],
  ['EulerAncestralDiscreteScheduler', 'euler-ancestral'],
  ['HeunDiscreteScheduler', 'heun'],
  ['DPMSolverMultistepScheduler', 'dpm-solver'],
  ['UniPCMultistepScheduler', 'unipc'],
  ['DEISMultistepScheduler', 'deis'],
]);

/** The kind of sampler that a scheduler_config.json's `_class_name` stands for; undefined when there is none here. */
export function samplerKind(className: string): SamplerKind | undefined {
  return classes.get(className);
}
