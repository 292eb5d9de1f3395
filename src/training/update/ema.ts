/** Exponential moving averages of the parameters: the target network of distillation, and what is sampled from. */
import type { FlatParameters } from './flat-parameters.ts';

export class Ema {
  readonly decay: number;
  readonly warmup: boolean;
  readonly parameters: FlatParameters;

  /**
   * Starts as a copy of `parameters`. With `warmup` the decay rises as (1 + n)/(10 + n) over the updates n, as in
   * diffusers' EMAModel, so that a short run does not average over the values it started with.
   */
  constructor(parameters: FlatParameters, decay: number, { warmup = false } = {}) {
    if (!(decay >= 0 && decay <= 1)) throw new RangeError(`an EMA decay lies between 0 and 1, got ${decay}`);
    this.decay = decay;
    this.warmup = warmup;
    this.parameters = parameters.clone();
  }

  /** The decay of the n-th update, counted from 1. */
  decayAt(update: number): number {
    return this.warmup ? Math.min(this.decay, (1 + update) / (10 + update)) : this.decay;
  }
}
