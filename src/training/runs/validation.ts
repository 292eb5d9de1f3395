/**
 * The loss of the averaged parameters on pictures that are not trained on: where it rises while that of the training goes
 * down, a model learns its pictures by heart.
 */
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { accumulate, appendMetrics, emptyInterval, means, readMetrics } from '../loop/metrics.ts';
import type { SharedStep } from '../update/data-parallel.ts';
import { type Batch, reportedValues } from '../update/stepper.ts';
import type { RunConfig } from './config.ts';
import type { Watch } from './pictures.ts';

/** Where batches of pictures come from that are not trained on. */
export interface Validation {
  /** Pictures there are. */
  readonly pictures: number;
  /** Batch `at`, the same at every call. */
  batch(at: number): Promise<Batch>;
}

export interface ValidationOptions extends Watch {
  /** The run's folder. */
  readonly directory: string;
  /** The training step, whose gradients are not used: another program would hold all frozen weights once more. */
  readonly program: SharedStep;
  /** What it takes beside a batch, with the averaged parameters. */
  readonly inputs: Readonly<Record<string, HostTensor>>;
  readonly validation: Validation;
  readonly cadence: RunConfig['cadence'];
  readonly step: number;
  /** A run goes on from this step, and may have been told of it. */
  readonly again: boolean;
}

/** Adds a record to metrics.jsonl whose names begin with `validation_`. A picture that is damaged is warned of. */
export async function validate(options: ValidationOptions): Promise<void> {
  const { directory, program, inputs, validation, cadence, step, again, onProgress, signal } = options;
  const path = join(directory, 'metrics.jsonl');
  const isKnown = async () =>
    (await readMetrics(path)).some((record) => record.step === step && 'validation_loss' in record);
  if (cadence.validationBatches === 0 || (again && (await isKnown()))) return;
  const interval = emptyInterval();
  let batches = 1;
  try {
    for (let at = 0; at < batches; at++) {
      const batch = await validation.batch(at);
      if (signal?.aborted) return;
      batches = Math.min(cadence.validationBatches, Math.ceil(validation.pictures / batch.images));
      accumulate(interval, reportedValues(await program.run({ ...inputs, ...batch.inputs }), batch));
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    onProgress?.({ type: 'warning', message: `no loss on the pictures kept for tests: ${error.message}` });
    return;
  }
  const values = Object.entries(means(interval)).map(
    ([name, value]) => [`validation_${name}`, value] as const,
  );
  const record = { step, ...Object.fromEntries(values) };
  await appendMetrics(path, record);
  onProgress?.({ type: 'metrics', record });
}
