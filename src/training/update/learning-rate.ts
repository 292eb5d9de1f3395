/** Learning-rate schedules: factors of the base rate by step. */

export interface LearningRateSchedule {
  readonly kind: 'constant' | 'cosine';
  /** Steps of linear rise from 0 to the full rate. */
  readonly warmupSteps: number;
  /** Cosine: the fraction of all steps after which the rate starts to fall. */
  readonly constantUntil?: number;
  /** Cosine: the fraction of the base rate at the last step. */
  readonly finalFactor?: number;
}

/** The factor for update `step` (0 for the first) of `steps`. */
export function learningRateFactor(schedule: LearningRateSchedule, step: number, steps: number): number {
  const { kind, warmupSteps, constantUntil = 0, finalFactor = 0 } = schedule;
  const warmup = warmupSteps > 0 ? Math.min(1, (step + 1) / warmupSteps) : 1;
  if (kind === 'constant') return warmup;
  const start = Math.max(warmupSteps, constantUntil * steps);
  const progress = Math.min(1, Math.max(0, (step - start) / Math.max(1, steps - 1 - start)));
  return warmup * (finalFactor + (1 - finalFactor) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
