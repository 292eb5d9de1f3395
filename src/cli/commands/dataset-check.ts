/** `lcm dataset check`: what is in a folder of pictures, and what a training would make of it. */
import { Command } from 'commander';
import { formatBytes } from '../../format-bytes.ts';
import { listed } from '../../messages.ts';
import { type DatasetReport, datasetReport, type SizesReport } from '../../training/folder/dataset-report.ts';
import { type LabelUse, labelUses } from '../../training/folder/labels.ts';
import { integer, oneOf } from '../options/values.ts';
import { createReporter } from '../progress.ts';

interface Options {
  readonly resolution: number;
  readonly captionColumn?: string;
  readonly labels: LabelUse;
  readonly json?: boolean;
}

export function datasetCheckCommand(signal: AbortSignal): Command {
  return new Command('check')
    .summary('what is in a folder of pictures')
    .description(
      'Says what is in a folder of pictures, a .tar or a .parquet file, and what a training would make of it: counts, sizes, captions, files that are broken or there twice.',
    )
    .argument('<pictures>', 'a folder, a .tar or a .parquet file')
    .option(
      '--resolution <pixels>',
      'pixels along each side that a training would see',
      integer('--resolution', { min: 8, max: 4096 }),
      64,
    )
    .option('--caption-column <name>', 'the column of metadata or of a table that holds captions')
    .option(
      '--labels <use>',
      'whether names of folders are captions: where there are no others, always, never',
      oneOf('--labels', labelUses),
      'auto',
    )
    .option('--json', 'report as one JSON object on the standard output')
    .action((path: string, options: Options) => check(path, options, signal));
}

async function check(path: string, options: Options, signal: AbortSignal): Promise<void> {
  const reporter = createReporter(options);
  const report = await datasetReport({
    ...options,
    path,
    signal,
    onProgress(event) {
      if (event.type !== 'phase' || event.total === undefined) return;
      const { message: label, done = 0, total } = event;
      reporter.progress({ label, done, total, unit: 'picture' });
    },
  });
  reporter.event('dataset', { path, resolution: options.resolution, ...report });
  reporter.printText(described(path, report, options.resolution));
}

function described(path: string, report: DatasetReport, resolution: number): string {
  const { pictures, bytes, leftOut, unreadable, duplicates, sizes, captions, training } = report;
  const faults = unreadable.map(({ picture, fault }) => `${picture} (${fault})`);
  const groups = duplicates.map((names) => names.join(' = '));
  const repeated = training.examples === training.pictures ? '' : `, ${training.examples} examples in a pass`;
  const used = training.accepted
    ? `${training.pictures} pictures at ${resolution}×${resolution}${repeated}; ${training.test} kept for tests`
    : 'refused: too many pictures cannot be read';
  const lines: [heading: string, text: string | undefined][] = [
    ['pictures', `${pictures}, ${formatBytes(bytes)}`],
    ['sizes', sizes && describedSizes(sizes, resolution)],
    [
      'captions',
      `${captions.with} with, ${captions.without} without${captions.words ? `; ${captions.distinct} different ones` : ''}`,
    ],
    [
      'words',
      captions.words &&
        `${captions.words[0]} to ${captions.words[2]}, half of the captions up to ${captions.words[1]}`,
    ],
    [
      'commonest',
      captions.words && captions.commonest.map(({ word, captions }) => `${word} ${captions}`).join(', '),
    ],
    ['not named', leftOut.length > 0 ? `${leftOut.length} by the metadata: ${listed(leftOut)}` : undefined],
    ['broken', faults.length > 0 ? `${faults.length}: ${listed(faults)}` : 'none'],
    ['duplicates', groups.length > 0 ? `${groups.length}: ${listed(groups)}` : 'none'],
    ['training', used],
  ];
  return [
    path,
    ...lines.flatMap(([heading, text]) => (text === undefined ? [] : [`  ${heading.padEnd(12)} ${text}`])),
  ].join('\n');
}

function describedSizes(sizes: SizesReport, resolution: number): string {
  const { smallest, largest, commonest, aspectRatios, enlarged } = sizes;
  const size = ({ width, height }: { width: number; height: number }) => `${width}×${height}`;
  const common = commonest.map((one) => `${size(one)} (${one.pictures})`).join(', ');
  const [narrowest, middle, widest] = aspectRatios.map((ratio) => ratio.toFixed(2));
  const small = enlarged > 0 ? `; ${enlarged} shorter than ${resolution} along a side, to be enlarged` : '';
  const all = size(smallest) === size(largest) ? '' : `${size(smallest)} to ${size(largest)}: `;
  const ratios =
    narrowest === widest ? '' : `; width by height ${narrowest} to ${widest}, half of them up to ${middle}`;
  return `${all}${common}${ratios}${small}`;
}
