import { expect, it } from 'vitest';
import { createReporter, duration, passUnit } from './progress.ts';

/** A reporter whose streams and clock the test holds. */
function recorded(options: { json?: boolean; terminal?: boolean; columns?: number } = {}) {
  const said = { stdout: '', stderr: '' };
  const clock = { milliseconds: 0 };
  const reporter = createReporter({
    json: options.json,
    stdout: { write: (text) => (said.stdout += text) },
    stderr: {
      write: (text) => (said.stderr += text),
      isTTY: options.terminal ?? false,
      columns: options.columns ?? 80,
    },
    now: () => clock.milliseconds,
  });
  return { reporter, said, clock };
}

const state = (done: number) => ({ label: 'drawing', done, total: 40, unit: 'step' });

it('draws a bar with rate and remaining time on a terminal, and clears it for a line', () => {
  const { reporter, said, clock } = recorded({ terminal: true });
  reporter.progress(state(0));
  clock.milliseconds = 2000;
  reporter.progress(state(10));
  expect(said.stderr.split('\r\x1b[K').at(-1)).toBe(
    `drawing ${'█'.repeat(8)}${'░'.repeat(22)} 10/40  5.0 steps/s  6.0 s left`,
  );
  reporter.print('picture.png');
  expect(said.stderr.endsWith('\r\x1b[K')).toBe(true);
  expect(said.stdout).toBe('picture.png\n');
});

it('counts passes where a step is more than one', () => {
  const { reporter, said, clock } = recorded();
  for (let done = 0; done <= 39; done++) {
    reporter.progress({ label: 'drawing', done, total: 39, unit: passUnit(2) });
    clock.milliseconds += 400;
  }
  expect(said.stderr).toMatch(/^drawing 13\/39 {2}2\.5 passes\/s {2}10 s left\n/);
  expect(passUnit(1)).toBe('step');
});

it('keeps the bar within the width of the terminal', () => {
  const { reporter, said, clock } = recorded({ terminal: true, columns: 30 });
  reporter.progress(state(0));
  clock.milliseconds = 1000;
  reporter.progress({ ...state(10), detail: 'loss 0.1234567890 and more' });
  for (const drawn of said.stderr.split('\r\x1b[K')) expect([...drawn].length).toBeLessThan(30);
});

it('draws no more often than a person can see', () => {
  const { reporter, said, clock } = recorded({ terminal: true });
  for (; clock.milliseconds < 1000; clock.milliseconds += 1) reporter.progress(state(1));
  expect(said.stderr.split('\r').length - 1).toBeLessThanOrEqual(13);
});

it('writes a plain line every few seconds where there is no terminal', () => {
  const { reporter, said, clock } = recorded();
  for (let done = 0; done <= 40; done++) {
    reporter.progress(state(done));
    clock.milliseconds += 400;
  }
  expect(said.stderr).toBe(
    'drawing 13/40  2.5 steps/s  11 s left\ndrawing 26/40  2.5 steps/s  5.6 s left\ndrawing 39/40  2.5 steps/s  0.40 s left\n',
  );
});

it('tells two things apart that go on at a time', () => {
  const { reporter, said, clock } = recorded();
  for (let done = 0; done <= 39; done++) {
    reporter.progress({ ...state(done), label: 'encoding', unit: 'image' });
    reporter.progress(state(Math.floor(done / 2)));
    clock.milliseconds += 400;
  }
  expect(said.stderr.split('\n').slice(0, 4)).toEqual([
    'encoding 13/40  2.5 images/s  11 s left',
    'drawing 6/40  1.2 steps/s  29 s left',
    'encoding 26/40  2.5 images/s  5.6 s left',
    'drawing 13/40  1.3 steps/s  22 s left',
  ]);
});

it('writes nothing but JSON lines on stdout with json', () => {
  const { reporter, said } = recorded({ json: true });
  reporter.progress(state(3));
  reporter.print('for people');
  reporter.note('for people');
  reporter.warn('careful');
  reporter.event('done', { images: 1 });
  expect(said.stderr).toBe('');
  expect(said.stdout).toBe('{"type":"warning","message":"careful"}\n{"type":"done","images":1}\n');
});

it("lets no terminal obey other people's texts, whichever way they come", () => {
  const text = '\x1b[2J\nnext';
  for (const terminal of [true, false]) {
    const { reporter, said, clock } = recorded({ terminal });
    reporter.print(text);
    reporter.printText(text);
    reporter.note(text);
    reporter.warn(text);
    expect(said.stdout).toBe('\\x1b[2J\\nnext\n\\x1b[2J\nnext\n');
    expect(said.stderr).toBe('\\x1b[2J\\nnext\nlcm: warning: \\x1b[2J\\nnext\n');
    reporter.progress(state(0));
    clock.milliseconds = 6000;
    reporter.progress({ ...state(1), label: text, detail: text });
    clock.milliseconds = 12000;
    reporter.progress({ ...state(1), label: text, detail: text });
    expect(said.stderr).toContain('\\x1b[2J\\nnext');
    expect(said.stderr).not.toContain('\x1b[2J');
  }
  const { reporter, said } = recorded({ json: true });
  reporter.event('picture', { text });
  expect(said.stdout).toBe(`${JSON.stringify({ type: 'picture', text })}\n`);
});

it('writes times as people say them', () => {
  expect([0.004, 0.5, 9.99, 12.4, 61, 200, 7500].map(duration)).toEqual([
    '0.00 s',
    '0.50 s',
    '10.0 s',
    '12 s',
    '1 min 1 s',
    '3 min 20 s',
    '2 h 5 min',
  ]);
});
