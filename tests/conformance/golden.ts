/**
 * Reference values made with PyTorch and diffusers, found by listing a folder: the fixtures in this repository,
 * or another folder of the same structure named by GOLDEN_DIR.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { HostTensor } from '../../src/graph/host-tensor.ts';
import { parseSafetensors } from '../../src/weights/safetensors.ts';

export const goldenDir =
  process.env.GOLDEN_DIR ?? fileURLToPath(new URL('../fixtures/golden', import.meta.url));

/** A suite over the folder `kind`; where there is none, one skipped test that says so. */
export function describeGolden(kind: string, suite: (folder: string) => void): void {
  const folder = join(goldenDir, kind);
  if (existsSync(folder)) describe(kind, () => suite(folder));
  else describe(kind, () => it.skip(`no folder ${folder}: nothing was compared`, () => {}));
}

/** Reads JSON as Python writes it, with NaN and infinities. */
export function readJson<T>(...path: string[]): T {
  const text = readFileSync(join(...path), 'utf8').replace(/(-?)\b(Infinity)\b/g, '$11e999');
  return JSON.parse(text) as T;
}

export function readTensors(...path: string[]): Map<string, HostTensor> {
  return parseSafetensors(readFileSync(join(...path))).tensors;
}

/** The elements of tensor `name` as float32 or float64. */
export function floats(tensors: Map<string, HostTensor>, name: string): Float32Array | Float64Array {
  const data = tensors.get(name)?.data;
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  throw new Error(`the fixture has no float tensor "${name}"`);
}

/** Expects |actual − expected| ≤ tolerance everywhere; relative: to the largest expected value. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  relative: 'relative' | 'absolute' = 'absolute',
): void {
  expect(actual.length).toBe(expected.length);
  let largest = 0;
  let error = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    const difference = Math.abs(actual[i]! - expected[i]!);
    error = Math.max(error, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  if (process.env.GOLDEN_ERRORS)
    console.log(expect.getState().currentTestName, error / (largest || 1), error);
  expect(error).toBeLessThanOrEqual(relative === 'relative' ? tolerance * largest : tolerance);
}
