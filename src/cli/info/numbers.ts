/** Weights and files in numbers that people read, for `lcm info`. */
import { formatBytes } from '../../format-bytes.ts';
import { elementCount } from '../../graph/shape.ts';
import type { Weights } from '../../weights/weights.ts';

export interface WeightsSummary {
  /** Numbers in all weights together. */
  readonly parameters: number;
  /** As they are stored. */
  readonly bytes: number;
  readonly dtypes: readonly string[];
}

export function summarize(weights: Weights): WeightsSummary {
  let parameters = 0;
  let bytes = 0;
  for (const { shape, storage } of weights.values()) {
    parameters += elementCount(shape);
    bytes += storage.kind === 'bytes' ? storage.bytes.byteLength : storage.length;
  }
  return { parameters, bytes, dtypes: [...new Set([...weights.values()].map(({ dtype }) => dtype))] };
}

/** `859.52 M parameters, 1.72 GB of float16`. */
export function summaryText({ parameters, bytes, dtypes }: WeightsSummary): string {
  return `${count(parameters).padStart(9)} parameters, ${formatBytes(bytes)} of ${dtypes.join(' and ')}`;
}

function count(parameters: number): string {
  return parameters >= 1e6 ? `${(parameters / 1e6).toFixed(2)} M` : `${(parameters / 1e3).toFixed(1)} k`;
}

/** A line of a description: what it says, after a heading. */
export function line(heading: string, text: string): string {
  return `  ${heading.padEnd(13)} ${text}`;
}
