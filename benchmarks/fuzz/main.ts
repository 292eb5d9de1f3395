/**
 * `npm run fuzz`: hands in damaged models, checkpoints, pictures, LoRAs, settings, requests and texts of pictures, each
 * in a process that is watched, and prints by kind what came of them. Ends with 1 when anything but a picture or a clear
 * refusal did.
 *
 * `-- --count 20000 --seed 1 --state FILE` goes on where FILE says that it was; `--kind NAME --index N` repeats one.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatBytes } from '../../src/format-bytes.ts';
import type { Attempt } from './attempt.ts';
import { kinds } from './kinds.ts';
import { WatchedProcess } from './watched.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    kind: { type: 'string' },
    index: { type: 'string' },
    state: { type: 'string' },
  },
});

interface Tally {
  inputs: number;
  read: number;
  drawn: number;
  refused: number;
  faults: number;
  seconds: number;
  memory: number;
}

interface State {
  readonly seed: number;
  readonly kinds: readonly string[];
  done: number;
  readonly tallies: Record<string, Tally>;
  readonly findings: string[];
}

const seed = wholeNumber('--seed', values.seed, 0);
const chosen = values.kind === undefined ? kinds : kinds.filter(({ name }) => name === values.kind);
if (chosen.length === 0)
  refuse(`--kind ${values.kind}: expected ${kinds.map(({ name }) => name).join(', ')}`);
const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
const child = new WatchedProcess();
process.once('exit', () => {
  child.stop();
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

if (values.index === undefined) await all(wholeNumber('--count', values.count, 1));
else await one(wholeNumber('--index', values.index, 0));
// The child is there until it is told otherwise.
process.exit();

/** Repeats one input and prints all that came of it. */
async function one(index: number): Promise<void> {
  if (values.kind === undefined) refuse('--index needs --kind');
  const result = await child.attempt({ kind: chosen[0]!.name, seed, index, folder });
  console.log(JSON.stringify(result, null, 2));
  process.exitCode = result.fault === undefined ? 0 : 1;
}

async function all(count: number): Promise<void> {
  const state = opened();
  const began = performance.now();
  const from = state.done;
  for (let shown = began; state.done < count; state.done++) {
    const kind = chosen[state.done % chosen.length]!.name;
    const index = Math.floor(state.done / chosen.length);
    const result = await child.attempt({ kind, seed, index, folder });
    countIn(state, kind, result);
    if (result.fault !== undefined) {
      const finding = `${kind} ${index}: ${result.fault}${result.message === undefined ? '' : ` — ${result.message}`}`;
      state.findings.push(finding);
      console.log(`${finding}\n  npm run fuzz -- --seed ${seed} --kind '${kind}' --index ${index}`);
    }
    if (performance.now() - shown < 10_000) continue;
    shown = performance.now();
    const rate = (state.done + 1 - from) / ((shown - began) / 1000);
    console.error(
      `${state.done + 1} of ${count}, ${rate.toFixed(0)} a second, ${state.findings.length} findings`,
    );
    save({ ...state, done: state.done + 1 });
  }
  save(state);
  console.log(table(state));
  process.exitCode = state.findings.length > 0 ? 1 : 0;
}

function countIn(state: State, kind: string, { outcome, fault, seconds, memory }: Attempt): void {
  const none = { inputs: 0, read: 0, drawn: 0, refused: 0, faults: 0, seconds: 0, memory: 0 };
  state.tallies[kind] ??= none;
  const tally = state.tallies[kind];
  tally.inputs++;
  if (fault === undefined) tally[outcome]++;
  else tally.faults++;
  tally.seconds = Math.max(tally.seconds, seconds);
  tally.memory = Math.max(tally.memory, memory);
}

/** Where it goes on, or a beginning. */
function opened(): State {
  const names = chosen.map(({ name }) => name);
  const start: State = { seed, kinds: names, done: 0, tallies: {}, findings: [] };
  if (values.state === undefined || !existsSync(values.state)) return start;
  const state = JSON.parse(readFileSync(values.state, 'utf8')) as State;
  if (state.seed === seed && state.kinds.join() === names.join()) return state;
  refuse(`--state ${values.state} is of the seed ${state.seed} and the kinds ${state.kinds.join(', ')}`);
}

function save(state: State): void {
  if (values.state === undefined) return;
  mkdirSync(dirname(values.state), { recursive: true });
  writeFileSync(`${values.state}.partial`, JSON.stringify(state));
  renameSync(`${values.state}.partial`, values.state);
}

function table({ tallies }: State): string {
  const rows = Object.entries(tallies).map(
    ([kind, { inputs, read, drawn, refused, faults, seconds, memory }]) =>
      `| ${kind} | ${inputs} | ${drawn} | ${read} | ${refused} | ${faults} | ${seconds.toFixed(1)} | ${formatBytes(memory)} |`,
  );
  return `| kind | inputs | drawn with | read | refused | findings | most seconds | most memory |\n|---|---:|---:|---:|---:|---:|---:|---:|\n${rows.join('\n')}`;
}

function wholeNumber(flag: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  refuse(`${flag} ${text}: expected a whole number from ${least}`);
}

function refuse(message: string): never {
  console.error(`fuzz: ${message}`);
  process.exit(2);
}
