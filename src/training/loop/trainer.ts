/**
 * The training loop: batch → loss and gradients → clipped AdamW → averages, with metrics, samples and checkpoints.
 *
 * A run is a function of its settings and the step: batch k depends on seed and k only, so a run that was stopped or
 * killed goes on from its last checkpoint bit for bit as if nothing had happened (same machine, same threads).
 */
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { type Batch, NotFinite, type Stepper } from '../update/stepper.ts';
import { readLatestCheckpoint, type TrainingState, writeCheckpoint } from './checkpoint.ts';
import type { OnProgress } from './events.ts';
import { Journal } from './journal.ts';
import { emptyInterval } from './metrics.ts';

export interface Cadence {
  /** Steps between records in `metrics.jsonl`. */
  readonly logEvery: number;
  readonly checkpointEverySteps: number;
  /** A checkpoint is also written after this many minutes without one. */
  readonly checkpointEveryMinutes: number;
  /** Steps between calls of `onSample`; 0 never. */
  readonly sampleEvery: number;
  /** How many checkpoints are kept, the newest. Default: 1. */
  readonly keepCheckpoints?: number;
}

export interface Training {
  /** The run's folder, which exists: checkpoints and metrics go here. */
  readonly directory: string;
  readonly steps: number;
  readonly stepper: Stepper;
  /** Batch `step`, the same at every call. */
  readonly batch: (step: number) => Promise<Batch>;
  readonly learningRate: (step: number) => number;
  readonly cadence: Cadence;
  /** `again`: a run goes on from that step, and what a kill prevented may be missing. */
  readonly onSample?: (step: number, again: boolean) => Promise<void>;
  readonly onProgress?: OnProgress;
  /** Stops after the step in progress and writes a checkpoint. Batches that are being made are waited for no longer. */
  readonly signal?: AbortSignal;
}

export interface TrainingResult {
  readonly step: number;
  /** False when the signal stopped the run before its last step. */
  readonly completed: boolean;
}

/**
 * Runs, or goes on with, a training. Errors of batches, steps and samples end it with a checkpoint of the steps before.
 *
 * Throws `InputError` when loss or gradients are not finite: the last checkpoint is then left as it is.
 */
export async function train(training: Training): Promise<TrainingResult> {
  const { directory, steps, stepper, cadence, onProgress, signal } = training;
  const resumed = await readLatestCheckpoint(directory, stepper);
  const state: TrainingState = resumed ?? { step: 0, images: 0, seconds: 0, interval: emptyInterval() };
  const journal = new Journal({ path: join(directory, 'metrics.jsonl'), steps, cadence, onProgress });
  await journal.begin(state.step, resumed !== undefined);

  /** Whether parameters, counters and records are those after `state.step` updates, and can be saved. */
  let isWhole = true;
  const save = async () => {
    isWhole = false; // what cannot be saved now need not be tried again
    const path = await writeCheckpoint(directory, state, await stepper.state(), cadence.keepCheckpoints);
    lastCheckpoint = performance.now();
    savedStep = state.step;
    isWhole = true;
    onProgress?.({ type: 'checkpoint', step: state.step, directory: path });
  };
  const samplesAreDue = () =>
    cadence.sampleEvery > 0 && state.step > 0 && state.step % cadence.sampleEvery === 0;
  const sample = async (again: boolean) => {
    if (!training.onSample) return;
    await training.onSample(state.step, again);
    onProgress?.({ type: 'samples', step: state.step });
  };
  let lastCheckpoint = performance.now();
  let savedStep = state.step;
  let next: Promise<Batch> | undefined;
  let isRunning = false;
  const stopping = () => {
    if (isRunning) onProgress?.({ type: 'stopping', step: state.step + 1 });
  };
  signal?.addEventListener('abort', stopping);

  try {
    if (resumed && samplesAreDue()) await sample(true);
    next = state.step < steps ? training.batch(state.step) : undefined;
    while (next && !signal?.aborted) {
      const started = performance.now();
      const batch = await next;
      isRunning = true;
      const learningRate = training.learningRate(state.step);
      const stepping = stepper.step(batch, learningRate);
      // The next batch is made while this one runs.
      next = state.step + 1 < steps ? training.batch(state.step + 1) : undefined;
      next?.catch(() => {}); // heard by the step that uses it
      const values = await stepping.catch((error: unknown) => {
        if (!(error instanceof NotFinite)) throw error;
        isWhole = false;
        throw notFinite(error, state.step, directory, savedStep);
      });

      isWhole = false;
      state.step += 1;
      state.images += batch.images;
      const seconds = (performance.now() - started) / 1000;
      state.seconds += seconds;
      await journal.tell(state, { values, learningRate, images: batch.images, seconds });
      isWhole = true;
      isRunning = false;
      const minutes = (performance.now() - lastCheckpoint) / 60_000;
      if (state.step % cadence.checkpointEverySteps === 0 || minutes >= cadence.checkpointEveryMinutes)
        await save();
      if (samplesAreDue()) await sample(false);
    }
  } catch (error) {
    // Batches are given up when the signal is aborted, and the training stops as after any step.
    if (!signal?.aborted) {
      if (isWhole && savedStep < state.step) await saveIfPossible(save, onProgress);
      throw error;
    }
  } finally {
    signal?.removeEventListener('abort', stopping);
    // Whoever called may now close what batches are made of.
    await Promise.allSettled([next]);
  }
  if (savedStep < state.step) await save();
  const completed = state.step >= steps;
  onProgress?.({ type: 'end', step: state.step, completed });
  return { step: state.step, completed };
}

/** What went wrong before is what counts, and is thrown; a disk that is full may well be the reason for both. */
async function saveIfPossible(save: () => Promise<void>, onProgress: OnProgress | undefined): Promise<void> {
  try {
    await save();
  } catch (error) {
    onProgress?.({ type: 'warning', message: `no checkpoint was written: ${(error as Error).message}` });
  }
}

function notFinite({ reported }: NotFinite, step: number, directory: string, savedStep: number): InputError {
  const values = Object.entries(reported).map(([name, value]) => `${name} ${value}`);
  return new InputError(
    `step ${step + 1}: loss and gradients must be finite numbers, found ${values.join(', ')}. ` +
      `Nothing was overwritten: ${savedStep === 0 ? 'no checkpoint had been written yet' : `the last checkpoint in ${directory} is of step ${savedStep}`}. ` +
      'Lower the learning rate or the gradient clipping, or check the data.',
  );
}
