/** What a training says of itself as it goes on: an event for every step, and a record for every interval of them. */
import type { TrainingState } from './checkpoint.ts';
import type { OnProgress } from './events.ts';
import { accumulate, appendMetrics, beginMetrics, emptyInterval, means, truncateMetrics } from './metrics.ts';

export interface JournalOptions {
  /** `metrics.jsonl` of the run. */
  readonly path: string;
  readonly steps: number;
  readonly cadence: {
    readonly logEvery: number;
    readonly checkpointEverySteps: number;
    readonly checkpointEveryMinutes: number;
  };
  readonly onProgress?: OnProgress | undefined;
}

/** What there is to tell of a step that was just made. */
export interface StepFacts {
  readonly values: Readonly<Record<string, number>>;
  readonly learningRate: number;
  readonly images: number;
  readonly seconds: number;
}

export class Journal {
  readonly #options: JournalOptions;
  /** Sums over about the last twenty steps. */
  #recentImages = 0;
  #recentSeconds = 0;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** `resumed`: the run goes on from a checkpoint, and later records are dropped. */
  async begin(step: number, resumed: boolean): Promise<void> {
    const { path, steps, cadence, onProgress } = this.#options;
    if (resumed) await truncateMetrics(path, step);
    else await beginMetrics(path, cadence);
    onProgress?.({ type: 'start', step, steps, resumed });
  }

  /** Tells of the step after which `state` is; its open interval ends with a record when one is due. */
  async tell(state: TrainingState, { values, learningRate, images, seconds }: StepFacts): Promise<void> {
    const { path, steps, cadence, onProgress } = this.#options;
    const { step } = state;
    this.#recentImages = this.#recentImages * 0.95 + images;
    this.#recentSeconds = this.#recentSeconds * 0.95 + seconds;
    const imagesPerSecond = this.#recentImages / this.#recentSeconds;
    const secondsLeft = ((steps - step) * images) / imagesPerSecond;
    accumulate(state.interval, values);
    onProgress?.({
      type: 'step',
      step,
      steps,
      loss: values.loss!,
      learningRate,
      imagesPerSecond,
      secondsLeft,
    });
    if (step % cadence.logEvery !== 0 && step !== steps) return;
    const record = {
      step,
      ...means(state.interval),
      learning_rate: learningRate,
      images: state.images,
      images_per_second: imagesPerSecond,
      seconds: state.seconds,
      seconds_left: secondsLeft,
    };
    await appendMetrics(path, record);
    state.interval = emptyInterval();
    onProgress?.({ type: 'metrics', record });
  }
}
