/** Exponential moving averages of the parameters: the target network of distillation, and what is sampled from. */
import type { FlatParameters } from './flat-parameters.ts';

export class Ema {
  readonly decay: number;
  readonly parameters: FlatParameters;

  /** Starts as a copy of `parameters`. */
  constructor(parameters: FlatParameters, decay: number) {
    if (!(decay >= 0 && decay <= 1)) throw new RangeError(`an EMA decay lies between 0 and 1, got ${decay}`);
    this.decay = decay;
    this.parameters = parameters.clone();
  }

  /** average ← decay · average + (1 − decay) · value, for the elements from `start` to before `end`. */
  update(values: Float32Array, start = 0, end = values.length): void {
    const average = this.parameters.values;
    const keep = this.decay;
    const take = 1 - keep;
    for (let i = start; i < end; i++) average[i] = average[i]! * keep + values[i]! * take;
  }
}
