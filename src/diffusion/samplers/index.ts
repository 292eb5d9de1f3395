/** Every sampler, and the way from a diffusers scheduler_config.json to one. */
import { UsageError } from '../../errors.ts';
import { type ConfigReading, readConfig, type SchedulerConfig } from './config.ts';
import { type DdimOptions, ddimDefaults, ddimSampler } from './ddim.ts';
import { deisReading, deisSampler } from './deis.ts';
import { dpmSolverReading, dpmSolverSampler } from './dpm-solver.ts';
import { dpmSolverSinglestepReading, dpmSolverSinglestepSampler } from './dpm-solver-singlestep.ts';
import { eulerReading, eulerSampler } from './euler.ts';
import { eulerAncestralReading, eulerAncestralSampler } from './euler-ancestral.ts';
import { heunDefaults, heunSampler } from './heun.ts';
import { kdpm2Reading, kdpm2Sampler } from './kdpm2.ts';
import { type LcmOptions, lcmDefaults, lcmSampler } from './lcm.ts';
import { pndmReading, pndmSampler } from './pndm.ts';
import type { Sampler } from './sampler.ts';
import { type TcdOptions, tcdDefaults, tcdSampler } from './tcd.ts';
import { uniPcReading, uniPcSampler } from './unipc.ts';

export type { SchedulerConfig } from './config.ts';
export { ddimSampler } from './ddim.ts';
export { deisSampler } from './deis.ts';
export { dpmSolverSampler } from './dpm-solver.ts';
export { dpmSolverSinglestepSampler } from './dpm-solver-singlestep.ts';
export { eulerSampler } from './euler.ts';
export { eulerAncestralSampler } from './euler-ancestral.ts';
export { heunSampler } from './heun.ts';
export { kdpm2Sampler } from './kdpm2.ts';
export { lcmSampler } from './lcm.ts';
export { pndmSampler } from './pndm.ts';
export { type Sampler, type SamplerStep, type SigmaSampler, startStep } from './sampler.ts';
export { tcdSampler } from './tcd.ts';
export { uniPcSampler } from './unipc.ts';

/** What any sampler can be asked for; each takes those that mean something to it. */
export type SamplerOptions = LcmOptions & TcdOptions & Partial<DdimOptions>;

interface Kind<Config extends object> {
  /** diffusers'. */
  readonly className: string;
  readonly takes: readonly (keyof SamplerOptions)[];
  /** Throws InputError. name: for messages. */
  read(config: SchedulerConfig, name: string): Config;
  create(config: SchedulerConfig, options: SamplerOptions, name: string): Sampler;
}

function kind<Config extends object>(
  className: string,
  reading: ConfigReading<Config>,
  takes: readonly (keyof SamplerOptions)[],
  sampler: (config: Config, options: SamplerOptions, name: string) => Sampler,
): Kind<Config> {
  const read = (config: SchedulerConfig, name: string) => readConfig(name, config, reading);
  return {
    className,
    takes,
    read,
    create: (config, options, name) => sampler(read(config, name), options, name),
  };
}

/** One that needs a number of steps. */
function stepped<Config extends object>(
  className: string,
  reading: ConfigReading<Config>,
  takes: readonly (keyof SamplerOptions)[],
  sampler: (config: Config, options: SamplerOptions & { readonly steps: number }) => Sampler,
): Kind<Config> {
  return kind(className, reading, takes, (config, { steps, ...options }, name) => {
    if (steps === undefined) throw new UsageError(`the ${name} sampler needs a number of steps`);
    return sampler(config, { ...options, steps });
  });
}

const ofGrid = ['steps', 'timesteps', 'strength', 'originalSteps'] as const;

/** Every kind of sampler. */
export const samplerKinds = [
  'lcm',
  'tcd',
  'ddim',
  'pndm',
  'euler',
  'euler-ancestral',
  'heun',
  'kdpm2',
  'dpm-solver',
  'dpm-solver-singlestep',
  'unipc',
  'deis',
] as const;

/** One of `samplerKinds`. */
export type SamplerKind = (typeof samplerKinds)[number];

const kinds = {
  lcm: kind('LCMScheduler', { defaults: lcmDefaults }, [...ofGrid, 'batchSize'], lcmSampler),
  tcd: kind('TCDScheduler', { defaults: tcdDefaults }, [...ofGrid, 'gamma'], tcdSampler),
  ddim: stepped('DDIMScheduler', { defaults: ddimDefaults }, ['steps', 'eta', 'batchSize'], ddimSampler),
  pndm: stepped('PNDMScheduler', pndmReading, ['steps'], pndmSampler),
  euler: stepped('EulerDiscreteScheduler', eulerReading, ['steps'], eulerSampler),
  'euler-ancestral': stepped(
    'EulerAncestralDiscreteScheduler',
    eulerAncestralReading,
    ['steps'],
    eulerAncestralSampler,
  ),
  heun: stepped('HeunDiscreteScheduler', { defaults: heunDefaults }, ['steps'], heunSampler),
  kdpm2: stepped('KDPM2DiscreteScheduler', kdpm2Reading, ['steps'], kdpm2Sampler),
  'dpm-solver': stepped(
    'DPMSolverMultistepScheduler',
    dpmSolverReading,
    ['steps', 'batchSize'],
    dpmSolverSampler,
  ),
  'dpm-solver-singlestep': stepped(
    'DPMSolverSinglestepScheduler',
    dpmSolverSinglestepReading,
    ['steps', 'batchSize'],
    dpmSolverSinglestepSampler,
  ),
  unipc: stepped('UniPCMultistepScheduler', uniPcReading, ['steps', 'batchSize'], uniPcSampler),
  deis: stepped('DEISMultistepScheduler', deisReading, ['steps', 'batchSize'], deisSampler),
} as const satisfies Record<SamplerKind, unknown>;

/**
 * What a kind of sampler has of a scheduler_config.json, which may be another sampler's: fields that this one does not
 * have are left alone, as in diffusers' from_config. Throws InputError for the first field that it cannot honour.
 */
export function readSamplerConfig<K extends SamplerKind>(
  kind: K,
  config: SchedulerConfig,
): ReturnType<(typeof kinds)[K]['read']> {
  return kinds[kind].read(config, kind) as ReturnType<(typeof kinds)[K]['read']>;
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
  const { takes, create }: Kind<object> = kinds[kind];
  const foreign = (Object.keys(options) as (keyof SamplerOptions)[]).find(
    (option) => options[option] !== undefined && !takes.includes(option),
  );
  if (foreign !== undefined) {
    throw new UsageError(`${foreign}: the ${kind} sampler takes ${takes.join(', ')}`);
  }
  return create(config, options, kind);
}

/** The kind of sampler that a scheduler_config.json's `_class_name` stands for; undefined when there is none here. */
export function samplerKind(className: string): SamplerKind | undefined {
  return samplerKinds.find((kind) => kinds[kind].className === className);
}
