/**
 * `npm run soak`: draws for hours with one pipeline, several requests at a time, some of them aborted; prints memory on
 * the way, and at the end what went wrong. Ends with 1 when anything did. Ctrl-C ends it early.
 *
 * `-- --generations 3000 --concurrency 4 --model DIR --json`
 */
import { parseArgs } from 'node:util';
import { formatBytes } from '../src/format-bytes.ts';
import { EMBEDDED_MODEL } from './generation.ts';
import { longUse } from './long-use.ts';

const { values } = parseArgs({
  options: {
    generations: { type: 'string', default: '3000' },
    concurrency: { type: 'string', default: '4' },
    model: { type: 'string', default: EMBEDDED_MODEL },
    json: { type: 'boolean', default: false },
  },
});
const generations = wholeNumber('--generations', values.generations);
const say = (line: string) => {
  if (!values.json) console.log(line);
};

say(
  '| generations | pictures | minutes | resident memory | heap | buffers |\n|---:|---:|---:|---:|---:|---:|',
);
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
const result = await longUse({
  signal: stop.signal,
  model: values.model,
  generations,
  concurrency: wholeNumber('--concurrency', values.concurrency),
  aborted: 0.1,
  compareEvery: 100,
  marks: [250, 500, ...Array.from({ length: Math.floor(generations / 500) }, (_, i) => 500 * (i + 1))],
  onMark: ({ generations, pictures, seconds, rss, heap, buffers }) => {
    const sizes = [rss, heap, buffers].map(formatBytes).join(' | ');
    say(`| ${generations} | ${pictures} | ${(seconds / 60).toFixed(1)} | ${sizes} |`);
  },
});
const { aborted, finishedFirst, slowestAbort, compared, different, errors } = result;
say(
  `\n${aborted} aborted, after ${slowestAbort.toFixed(0)} ms at most; ${finishedFirst} had finished before`,
);
say(
  `${compared} compared with the same drawn alone: ${different.length} are different ${different.join(', ')}`,
);
say(
  `${errors.length} errors${errors
    .slice(0, 20)
    .map((error) => `\n  ${error}`)
    .join('')}`,
);
if (values.json) console.log(JSON.stringify(result, null, 2));
process.exitCode = errors.length + different.length > 0 ? 1 : 0;

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  console.error(`soak: ${flag} ${text}: expected a whole number from 1`);
  process.exit(2);
}
