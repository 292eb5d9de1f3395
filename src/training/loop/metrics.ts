/** The record of a run: `metrics.jsonl`, one JSON object per line and reporting interval. */
import { appendFile } from 'node:fs/promises';
import { InputError } from '../../errors.ts';
import { parseJsonObject } from '../../files/json.ts';
import { readTextIfThere } from '../../files/node/text-file.ts';
import { unwritable } from '../../files/node/unwritable.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';

/** One line of a run's metrics.jsonl. */
export interface MetricsRecord {
  /** Updates made when the record was written. */
  readonly step: number;
  /** Means over the interval of everything the objective reports, `loss` among them. */
  readonly [name: string]: number;
}

/** Sums of what was reported since the last record. Part of a checkpoint, so that a resumed run records the same. */
export interface Interval {
  sums: Record<string, number>;
  counts: Record<string, number>;
}

export function emptyInterval(): Interval {
  return { sums: {}, counts: {} };
}

export function accumulate(interval: Interval, values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) {
    interval.sums[name] = (interval.sums[name] ?? 0) + value;
    interval.counts[name] = (interval.counts[name] ?? 0) + 1;
  }
}

export function means(interval: Interval): Record<string, number> {
  return Object.fromEntries(
    Object.entries(interval.sums).map(([name, sum]) => [name, sum / interval.counts[name]!]),
  );
}

/** Throws InputError when the file cannot be written; a line that was begun then is cut off when the run goes on. */
export async function appendMetrics(path: string, record: MetricsRecord): Promise<void> {
  await appendFile(path, `${JSON.stringify(record)}\n`).catch((error) => {
    throw unwritable(path, error);
  });
}

/**
 * Drops the records after `step`: a run that was killed may have recorded more than its last checkpoint holds. Throws
 * InputError for a file in which somebody has changed something.
 */
export async function truncateMetrics(path: string, step: number): Promise<void> {
  const records = await readMetrics(path);
  await write(
    path,
    records.filter((record) => record.step <= step),
  );
}

/**
 * Begins the record of a run of which there is no checkpoint. Throws InputError when there are records from which on
 * there must have been one: then it is missing, and its run is not thrown away.
 */
export async function beginMetrics(
  path: string,
  cadence: { readonly checkpointEverySteps: number; readonly checkpointEveryMinutes: number },
): Promise<void> {
  const records = await readMetrics(path);
  const step = records.at(-1)?.step ?? 0;
  // A kill may have come between the last record and its checkpoint.
  const seconds = records.at(-2)?.seconds ?? 0;
  if (step > cadence.checkpointEverySteps || seconds > 60 * cadence.checkpointEveryMinutes) {
    throw new InputError(
      `${path} records ${step} steps of training, but there is no checkpoint beside it: bring the folder checkpoint-… back to go on, or remove ${path} to begin anew`,
      { path },
    );
  }
  await write(path, []);
}

/** Texts of records are some hundred bytes long. */
const LARGEST = 2 ** 28;

/** The records of a run; none where there is no file. Throws InputError for a line that is none. */
export async function readMetrics(path: string): Promise<MetricsRecord[]> {
  const text = (await readTextIfThere(path, LARGEST)) ?? '';
  const lines = text.split('\n');
  // What follows the last line break is empty or was cut off, and so may be the lines before it after a power cut.
  lines.pop();
  while (lines.length > 0 && /^\0*$/.test(lines.at(-1)!)) lines.pop();
  return lines.map((line, i) => {
    const record = parseJsonObject(line, `${path}, line ${i + 1}`);
    if (Number.isSafeInteger(record.step)) return record as MetricsRecord;
    throw new InputError(`${path}, line ${i + 1}: expected a record with a step; repair or remove the line`, {
      path,
    });
  });
}

async function write(path: string, records: readonly MetricsRecord[]): Promise<void> {
  const text = records.map((record) => `${JSON.stringify(record)}\n`).join('');
  await writeFileAtomically(path, [new TextEncoder().encode(text)]);
}
