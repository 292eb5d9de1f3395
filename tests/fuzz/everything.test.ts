/** What `npm run fuzz` does for hours, for some seconds; and that it notices what it looks for. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { faultOf } from '../../benchmarks/fuzz/attempt.ts';
import { kinds } from '../../benchmarks/fuzz/kinds.ts';
import { Random } from '../../benchmarks/fuzz/random.ts';
import { InputError, SettingError, UsageError } from '../../src/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.bench.json']);
});

function fuzz(...args: readonly string[]) {
  const { status, stdout } = spawnSync(process.execPath, ['build/benchmarks/fuzz/main.js', ...args], {
    encoding: 'utf8',
  });
  return { status, stdout };
}

it('everything that people hand in is drawn with, read, or refused with a clear error', () => {
  const state = join(folder, 'state.json');
  const count = 30 * kinds.length;
  // In two parts: what was done is not done again.
  const parts = [count / 2, count].map((until) =>
    fuzz('--seed', '2', '--count', `${until}`, '--state', state),
  );
  for (const { status, stdout } of parts) {
    expect(stdout).toMatch(/^\| kind \|/);
    expect(status).toBe(0);
  }
  const { done, tallies } = JSON.parse(readFileSync(state, 'utf8'));
  expect(done).toBe(count);
  for (const { name } of kinds) {
    expect(tallies[name].inputs).toBe(30);
    expect(tallies[name].refused).toBeGreaterThan(0);
    expect(tallies[name].read + tallies[name].drawn).toBeGreaterThan(0);
  }
});

it('an input belongs to its seed, kind and index', () => {
  const drawn = (...identity: (string | number)[]) => {
    const random = new Random(...identity);
    return Array.from({ length: 8 }, () => random.below(1000));
  };
  expect(drawn(1, 'pictures', 5)).toEqual(drawn(1, 'pictures', 5));
  expect(drawn(1, 'pictures', 5)).not.toEqual(drawn(1, 'pictures', 6));
  expect(drawn(1, 'pictures', 5)).not.toEqual(drawn(2, 'pictures', 5));
});

it.each([
  [new TypeError("Cannot read properties of null (reading 'a')"), /^TypeError: Cannot read/],
  ['thrown', /^string: thrown/],
  [new InputError('/a/b.json: width is undefined'), /not for people/],
  [new InputError('/a/b.json: ENOENT: no such file'), /not for people/],
  [new UsageError('/a/b.json: Unexpected token } in JSON'), /not for people/],
  [new InputError('width is -1; expected a whole number from 1'), /names no file/],
])('a fault is noticed: %s', (error, fault) => {
  expect(faultOf(error, ['/a/b.json'])).toMatch(fault);
});

it('a clear refusal is no fault', () => {
  expect(faultOf(new InputError('/a/b.json: width is -1; expected a whole number'), ['/a'])).toBeUndefined();
  expect(faultOf(new UsageError('steps is -1; expected a whole number'), [])).toBeUndefined();
  expect(faultOf(new SettingError('steps', 'steps', '1: PNDM needs at least 4'), ['/a'])).toBeUndefined();
});
