/** The record of a run: `metrics.jsonl`, one JSON object per line and reporting interval. */
import { appendFile, readFile } from 'node:fs/promises';
import { unwritable } from '../files/node/unwritable.ts';
import { writeFileAtomically } from '../weights/node/atomic-write.ts';

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

/** Drops the records after `step`: a run that was killed may have recorded more than its last checkpoint holds. */
export async function truncateMetrics(path: string, step: number): Promise<void> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n').slice(0, -1); // what follows the last line break is empty, or was cut off
  const kept = lines.filter((line) => (JSON.parse(line) as MetricsRecord).step <= step);
  await writeFileAtomically(path, [new TextEncoder().encode(kept.map((line) => `${line}\n`).join(''))]);
}
