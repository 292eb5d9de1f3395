/**
 * The training loop: batch → loss and gradients → clipped AdamW → averages, with metrics, samples and checkpoints.
 *
 * A run is a function of its settings and the step: batch k depends on seed and k only, so a run that was stopped or
 * killed goes on from its last checkpoint bit for bit as if nothing had happened (same machine, same threads).
 */
import { join } from 'node:path';
import type { Executable } from '../engines/engine.ts';
import { InputError } from '../errors.ts';
import { float32Data, type HostTensor } from '../graph/host-tensor.ts';
import { readLatestCheckpoint, type TrainingState, writeCheckpoint } from './checkpoint.ts';
import type { Ema } from './ema.ts';
import type { OnProgress } from './events.ts';
import type { FlatParameters } from './flat-parameters.ts';
import { accumulate, appendMetrics, beginMetrics, emptyInterval, means, truncateMetrics } from './metrics.ts';
import { GRADIENT_PREFIX } from './objective.ts';
import { type AdamW, globalNorm } from './optimizer.ts';

export interface Batch {
  readonly inputs: Readonly<Record<string, HostTensor>>;
  /** Pictures in the batch, for the rate. */
  readonly images: number;
  /** A name per picture: the objective's `sample_loss` [B] is reported as its mean under each name. */
  readonly groups?: readonly string[];
}

export interface Cadence {
  /** Steps between records in `metrics.jsonl`. */
  readonly logEvery: number;
  readonly checkpointEverySteps: number;
  /** Also after this many minutes without one. */
  readonly checkpointEveryMinutes: number;
  /** Steps between calls of `onSample`; 0 never. */
  readonly sampleEvery: number;
}

export interface Training {
  /** The run's folder, which exists: checkpoints and metrics go here. */
  readonly directory: string;
  readonly steps: number;
  /** Computes `loss`, further scalars to report, and `grad/<name>` for every trained parameter. */
  readonly executable: Executable;
  /** The trained parameters, fed to the program under `parameterPrefix` + name. */
  readonly parameters: FlatParameters;
  readonly parameterPrefix?: string;
  readonly optimizer: AdamW;
  readonly averages: Readonly<Record<string, Ema>>;
  /** Weights that change as training goes on but are not trained, such as the target network. */
  readonly feeds?: Readonly<Record<string, HostTensor>>;
  /** Batch `step`, the same at every call. */
  readonly batch: (step: number) => Promise<Batch>;
  readonly learningRate: (step: number) => number;
  readonly maxGradientNorm?: number;
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
  const { directory, steps, executable, parameters, optimizer, averages, cadence, onProgress, signal } =
    training;
  const metricsPath = join(directory, 'metrics.jsonl');
  const stored = { parameters, optimizer, averages };
  const resumed = await readLatestCheckpoint(directory, stored);
  const state: TrainingState = resumed ?? { step: 0, images: 0, seconds: 0, interval: emptyInterval() };
  if (resumed) await truncateMetrics(metricsPath, state.step);
  else await beginMetrics(metricsPath, cadence);
  onProgress?.({ type: 'start', step: state.step, steps, resumed: resumed !== undefined });

  /** Whether parameters, counters and records are those after `state.step` updates, and can be saved. */
  let isWhole = true;
  const save = async () => {
    isWhole = false; // what cannot be saved now need not be tried again
    const path = await writeCheckpoint(directory, state, stored);
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
  const inputs = { ...parameters.tensors(training.parameterPrefix), ...training.feeds };
  const rate = new RateMeter();
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
      const running = executable.run({ ...inputs, ...batch.inputs });
      // The next batch is made while this one runs.
      next = state.step + 1 < steps ? training.batch(state.step + 1) : undefined;
      next?.catch(() => {}); // heard by the step that uses it
      const outputs = await running;

      isWhole = false;
      const gradients = gradientsOf(outputs);
      const gradientNorm = globalNorm(gradients.values());
      const reported = reportedValues(outputs, batch);
      checkFinite(state.step, reported, gradientNorm, directory, savedStep);
      const learningRate = training.learningRate(state.step);
      optimizer.step(gradients, gradientNorm, {
        learningRate,
        maxGradientNorm: training.maxGradientNorm,
        averages: Object.values(averages),
      });

      state.step += 1;
      state.images += batch.images;
      const seconds = (performance.now() - started) / 1000;
      state.seconds += seconds;
      const imagesPerSecond = rate.add(batch.images, seconds);
      const secondsLeft = ((steps - state.step) * batch.images) / imagesPerSecond;
      accumulate(state.interval, { ...reported, gradient_norm: gradientNorm });
      onProgress?.({
        type: 'step',
        step: state.step,
        steps,
        loss: reported.loss!,
        learningRate,
        imagesPerSecond,
        secondsLeft,
      });

      if (state.step % cadence.logEvery === 0 || state.step === steps) {
        const record = {
          step: state.step,
          ...means(state.interval),
          learning_rate: learningRate,
          images: state.images,
          images_per_second: imagesPerSecond,
          seconds: state.seconds,
          seconds_left: secondsLeft,
        };
        await appendMetrics(metricsPath, record);
        state.interval = emptyInterval();
        onProgress?.({ type: 'metrics', record });
      }
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

function gradientsOf(outputs: Readonly<Record<string, HostTensor>>): Map<string, HostTensor> {
  const gradients = new Map<string, HostTensor>();
  for (const [name, tensor] of Object.entries(outputs)) {
    if (name.startsWith(GRADIENT_PREFIX)) gradients.set(name.slice(GRADIENT_PREFIX.length), tensor);
  }
  return gradients;
}

/** All scalars among the outputs, and the means of `sample_loss` per group of the batch. */
function reportedValues(outputs: Readonly<Record<string, HostTensor>>, batch: Batch): Record<string, number> {
  const reported: Record<string, number> = {};
  for (const [name, tensor] of Object.entries(outputs)) {
    if (tensor.shape.length === 0 && !name.startsWith(GRADIENT_PREFIX))
      reported[name] = float32Data(tensor)[0]!;
  }
  const losses = outputs.sample_loss;
  if (losses && batch.groups) {
    const byGroup = new Map<string, number[]>();
    batch.groups.forEach((group, i) => {
      byGroup.set(group, [...(byGroup.get(group) ?? []), float32Data(losses)[i]!]);
    });
    for (const [group, values] of byGroup) {
      reported[`loss_${group}`] = values.reduce((sum, value) => sum + value, 0) / values.length;
    }
  }
  return reported;
}

function checkFinite(
  step: number,
  reported: Readonly<Record<string, number>>,
  gradientNorm: number,
  directory: string,
  savedStep: number,
): void {
  if (Number.isFinite(reported.loss) && Number.isFinite(gradientNorm)) return;
  const values = Object.entries({ ...reported, gradient_norm: gradientNorm }).map(
    ([name, v]) => `${name} ${v}`,
  );
  throw new InputError(
    `step ${step + 1}: loss and gradients must be finite numbers, found ${values.join(', ')}. ` +
      `Nothing was overwritten: ${savedStep === 0 ? 'no checkpoint had been written yet' : `the last checkpoint in ${directory} is of step ${savedStep}`}. ` +
      'Lower the learning rate or the gradient clipping, or check the data.',
  );
}

/** Images per second, smoothed over about twenty steps. */
class RateMeter {
  #images = 0;
  #seconds = 0;

  add(images: number, seconds: number): number {
    this.#images = this.#images * 0.95 + images;
    this.#seconds = this.#seconds * 0.95 + seconds;
    return this.#images / this.#seconds;
  }
}
