/** `lcm dataset`: the procedural training set as files, and a look at other people's. */
import { Command } from 'commander';
import { writePostcards } from '../../datasets/node/write-postcards.ts';
import { SPLITS, type Split } from '../../datasets/postcards/postcards.ts';
import { integer, oneOf } from '../options/values.ts';
import { createReporter } from '../progress.ts';
import { datasetCheckCommand } from './dataset-check.ts';

interface Options {
  readonly count: number;
  readonly out: string;
  readonly split: Split;
  readonly seed: number;
  readonly size: number;
  readonly json?: boolean;
}

export function datasetCommand(signal: AbortSignal): Command {
  const postcards = new Command('postcards')
    .summary('little landscapes with captions')
    .description(
      'Writes little landscapes of 64×64 pixels or more, with captions and a record of what each one shows.',
    )
    .requiredOption('--count <n>', 'how many', integer('--count', { min: 1, max: 2 ** 32 }))
    .requiredOption('--out <dir>', 'the folder; one that was begun is completed')
    .option(
      '--split <name>',
      `${SPLITS.join(', ')}; heldout has only combinations that train never shows`,
      oneOf('--split', SPLITS),
      'train',
    )
    .option(
      '--seed <s>',
      'another seed, another data set',
      integer('--seed', { min: 0, max: 2 ** 32 - 1 }),
      0,
    )
    .option(
      '--size <pixels>',
      'pixels along each side; the same scenes, from 128 on with finer detail',
      integer('--size', { min: 64, max: 512 }),
      64,
    )
    .option('--json', 'report as JSON lines on the standard output')
    .action((options: Options) => write(options, signal));
  return new Command('dataset')
    .description('Looks at a training set, or writes one to a folder.')
    .addCommand(datasetCheckCommand(signal))
    .addCommand(postcards);
}

async function write({ count, out, split, seed, size, json }: Options, signal: AbortSignal): Promise<void> {
  const reporter = createReporter({ json });
  const { written, kept } = await writePostcards(out, {
    count,
    split,
    seed,
    size,
    signal,
    onProgress(done, total) {
      reporter.progress({ label: 'drawing', done, total, unit: 'picture' });
      reporter.event('progress', { done, total });
    },
  });
  reporter.event('done', { directory: out, written, kept });
  const already = kept > 0 ? `, ${kept} were there already` : '';
  reporter.print(`${out}: ${written} pictures written${already}; captions and records are in metadata.jsonl`);
}
