/** What a training run tells whoever watches it: typed events, drawn by somebody else. */
import type { MetricsRecord } from './metrics.ts';

/** What happens in a training. */
export type TrainingEvent =
  | {
      readonly type: 'phase';
      readonly message: string;
      readonly done?: number;
      readonly total?: number;
      readonly imagesPerSecond?: number;
      readonly secondsLeft?: number;
    }
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'start'; readonly step: number; readonly steps: number; readonly resumed: boolean }
  | {
      readonly type: 'step';
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly learningRate: number;
      readonly imagesPerSecond: number;
      readonly secondsLeft: number;
    }
  | { readonly type: 'metrics'; readonly record: MetricsRecord }
  | { readonly type: 'stopping'; readonly step: number }
  | { readonly type: 'checkpoint'; readonly step: number; readonly directory: string }
  | { readonly type: 'samples'; readonly step: number }
  | { readonly type: 'end'; readonly step: number; readonly completed: boolean };

/** Hears every event of a training. */
export type OnProgress = (event: TrainingEvent) => void;
