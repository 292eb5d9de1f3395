/**
 * What a command says while it works. For people: results on stdout, a bar with rate and remaining time on stderr
 * (plain lines, now and then, where stderr is no terminal). With --json: one JSON object per line on stdout.
 */

import { jsonLine, shownLine, shownText } from './terminal-text.ts';

export interface ProgressState {
  /** What is being done: `denoising`. */
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** What is counted: `step`, `image`. */
  readonly unit: string;
  /** More to show, e.g. the loss. */
  readonly detail?: string;
  /** Where the caller knows better than the time since the first call. */
  readonly rate?: number;
  readonly secondsLeft?: number;
}

export interface Reporter {
  readonly json: boolean;
  /** A line of the machine-readable record; nothing without --json. */
  event(type: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A result for people, on stdout; nothing with --json. */
  print(line: string): void;
  /** A result of several lines. */
  printText(text: string): void;
  /** A remark for people, on stderr; nothing with --json. */
  note(line: string): void;
  warn(message: string): void;
  progress(state: ProgressState): void;
}

export interface ReporterOptions {
  readonly json?: boolean;
  readonly stdout?: Sink;
  readonly stderr?: Sink;
  /** Milliseconds; by default the clock since the process started. */
  readonly now?: () => number;
}

export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Milliseconds between two drawings of the bar, and between two plain lines. */
const BAR_INTERVAL = 80;
const LINE_INTERVAL = 5000;

export function createReporter(options: ReporterOptions = {}): Reporter {
  const {
    json = false,
    stdout = process.stdout,
    stderr = process.stderr,
    now = () => performance.now(),
  } = options;
  /** By label, because two things may go on at a time. */
  const begun = new Map<string, { at: number; done: number; shownAt: number }>();
  let barShown = false;

  const clearBar = () => {
    if (barShown) stderr.write('\r\x1b[K');
    barShown = false;
  };
  const progress = (state: ProgressState) => {
    const time = now();
    const finished = state.done >= state.total;
    let first = begun.get(state.label);
    if (!first || state.done < first.done) {
      first = { at: time, done: state.done, shownAt: stderr.isTTY ? Number.NEGATIVE_INFINITY : time };
      begun.set(state.label, first);
    }
    if (finished) begun.delete(state.label);
    const seconds = (time - first.at) / 1000;
    const rate = state.rate ?? (seconds > 0 ? (state.done - first.done) / seconds : 0);
    const secondsLeft = state.secondsLeft ?? (rate > 0 ? (state.total - state.done) / rate : undefined);
    const label = shownLine(state.label);
    const text = shownLine(describe(state, rate, secondsLeft));
    if (stderr.isTTY) {
      if (finished) return clearBar();
      if (time - first.shownAt < BAR_INTERVAL) return;
      stderr.write(`\r\x1b[K${bar({ ...state, label }, text, stderr.columns ?? 80)}`);
      barShown = true;
    } else {
      if (time - first.shownAt < LINE_INTERVAL) return;
      stderr.write(`${label} ${text}\n`);
    }
    first.shownAt = time;
  };

  return {
    json,
    event(type, fields = {}) {
      if (json) stdout.write(`${jsonLine({ type, ...fields })}\n`);
    },
    print(line) {
      if (json) return;
      clearBar();
      stdout.write(`${shownLine(line)}\n`);
    },
    printText(text) {
      if (json) return;
      clearBar();
      stdout.write(`${shownText(text)}\n`);
    },
    note(line) {
      if (json) return;
      clearBar();
      stderr.write(`${shownLine(line)}\n`);
    },
    warn(message) {
      if (json) {
        stdout.write(`${jsonLine({ type: 'warning', message })}\n`);
        return;
      }
      clearBar();
      stderr.write(`lcm: warning: ${shownLine(message)}\n`);
    },
    progress(state) {
      if (!json) progress(state);
    },
  };
}

/** Whole megabytes, rounded up, so that the last byte makes them complete. */
export function megabytes(bytes: number): number {
  return Math.ceil(bytes / 1e6);
}

/** What a bar counts while pictures are drawn: passes of the network, which most samplers make one of in a step. */
export function passUnit(passesPerStep: number): string {
  return passesPerStep === 1 ? 'step' : 'pass';
}

function describe(state: ProgressState, rate: number, secondsLeft: number | undefined): string {
  const parts = [`${state.done}/${state.total}`];
  if (rate > 0)
    parts.push(
      rate >= 1
        ? `${rate.toFixed(1)} ${state.unit}${state.unit.endsWith('s') ? 'es' : 's'}/s`
        : `${(1 / rate).toFixed(1)} s/${state.unit}`,
    );
  if (secondsLeft !== undefined && secondsLeft > 0) parts.push(`${duration(secondsLeft)} left`);
  if (state.detail) parts.push(state.detail);
  return parts.join('  ');
}

function bar({ label, done, total }: ProgressState, text: string, columns: number): string {
  const width = Math.max(0, Math.min(30, columns - label.length - text.length - 4));
  const filled = Math.round((width * done) / Math.max(total, 1));
  return `${label} ${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${text}`.slice(0, columns - 1);
}

/** `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(seconds < 0.995 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
