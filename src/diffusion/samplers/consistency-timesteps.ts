/** The timesteps of consistency samplers: a few, spread evenly over those that the model was distilled on. */
import { SettingError, UsageError } from '../../errors.ts';

/** Which timesteps a consistency sampler visits. */
export interface ConsistencyTimestepOptions {
  /** How many; or `timesteps`, not both. */
  readonly steps?: number;
  /** The timesteps themselves, descending. */
  readonly timesteps?: readonly number[];
  /** Share of the trajectory to sample, above 0 up to 1; below 1 for image-to-image. */
  readonly strength?: number;
}

export interface ConsistencyTimesteps {
  readonly timesteps: readonly number[];
  /** The step after which no noise is added. */
  readonly lastStep: number;
}

/**
 * Chooses timesteps as LCMScheduler.set_timesteps does.
 * @param trained the timesteps that the model was distilled on, ascending
 * @throws UsageError where diffusers raises ValueError
 */
export function consistencyTimesteps(
  { steps, timesteps, strength = 1 }: ConsistencyTimestepOptions,
  trained: readonly number[],
  numTrainTimesteps: number,
): ConsistencyTimesteps {
  if (!(strength > 0 && strength <= 1))
    throw new SettingError('strength', 'strength', `${strength}: use a number above 0, up to 1`);
  if ((steps === undefined) === (timesteps === undefined)) {
    throw new UsageError('expected either a number of steps or a list of timesteps, not both or neither');
  }
  if (timesteps !== undefined) {
    checkTimesteps(timesteps, numTrainTimesteps);
    const kept = Math.trunc(timesteps.length * strength);
    if (kept < 1) {
      throw new SettingError(
        'strength',
        'strength',
        `${strength}: it leaves none of the ${timesteps.length} timesteps; use at least ${1 / timesteps.length}`,
      );
    }
    // diffusers does not shorten its step count here, so that with strength < 1 even the last step adds noise
    // and the picture is decoded from `denoised`. Kept, for equal pictures.
    return { timesteps: timesteps.slice(timesteps.length - kept), lastStep: timesteps.length - 1 };
  }
  const count = steps!;
  const reached = trained.slice(0, Math.trunc(trained.length * strength)).reverse();
  if (!Number.isInteger(count) || count < 1 || count > reached.length) {
    throw new SettingError(
      'steps',
      'steps',
      `${count}: ${explain(count, trained.length, reached.length, strength)}`,
    );
  }
  const stride = reached.length / count;
  return {
    timesteps: Array.from({ length: count }, (_, j) => reached[Math.floor(j * stride)]!),
    lastStep: count - 1,
  };
}

function explain(count: number, trained: number, reached: number, strength: number): string {
  const grid = `the model was distilled on a grid of ${trained} timesteps`;
  if (reached === trained) return `${grid}; use 1 to ${trained}`;
  const share = `${grid}, of which strength ${strength} leaves ${reached}`;
  const stronger = count <= trained ? `a strength of at least ${count / trained}` : 'a greater strength';
  return reached === 0 ? `${share}; use ${stronger}` : `${share}; use 1 to ${reached}, or ${stronger}`;
}

function checkTimesteps(timesteps: readonly number[], numTrainTimesteps: number): void {
  const valid = timesteps.every(
    (t, i) => Number.isInteger(t) && t >= 0 && (i === 0 || t < timesteps[i - 1]!),
  );
  if (timesteps.length === 0 || !valid) {
    throw new SettingError(
      'timesteps',
      'timesteps',
      `${timesteps.join(', ')}: expected integers in descending order`,
    );
  }
  if (timesteps[0]! >= numTrainTimesteps) {
    throw new SettingError(
      'timesteps',
      'timesteps',
      `${timesteps.join(', ')}: the model was trained on ${numTrainTimesteps}; start at ${numTrainTimesteps - 1} or below`,
    );
  }
}
