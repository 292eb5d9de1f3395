/** `lcm evaluate`: how well a model of postcards follows its captions, and how near it comes to real pictures. */
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { loadComponents } from '../../components/components.ts';
import { EMBEDDED_JUDGE, EMBEDDED_MODEL } from '../../components/node/embedded-models.ts';
import { openModel } from '../../components/node/open-model.ts';
import { createContext } from '../../datasets/node/canvas.ts';
import { createEngine, isOnProcessor } from '../../engines/create-engine.ts';
import { UsageError } from '../../errors.ts';
import { Autoencoding } from '../../evaluation/autoencoding.ts';
import { contactSheet, type Evaluation, type EvaluationRow, evaluate } from '../../evaluation/evaluate.ts';
import { openJudge } from '../../evaluation/node/judge-files.ts';
import { PROTOCOL_COUNT } from '../../evaluation/protocol.ts';
import { markdownReport, summaryLine } from '../../evaluation/report.ts';
import type { Image } from '../../images/image.ts';
import { encodePng } from '../../images/png.ts';
import { loadPipeline, startPipeline } from '../../pipelines/node/load.ts';
import { MOST_PICTURES } from '../../pipelines/request-settings.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { disposeUnlessCancelled } from '../dispose.ts';
import { type EngineOptions, engineOptions, withEngineOptions } from '../options/engine.ts';
import { type PartOptions, withPartOptions } from '../options/model.ts';
import { integer, number } from '../options/values.ts';
import { requireWritable } from '../output-paths.ts';
import { createReporter, type Reporter } from '../progress.ts';

interface Options extends EngineOptions, PartOptions {
  readonly model: string;
  readonly teacher?: string;
  readonly judge: string;
  readonly steps?: readonly number[];
  readonly count: number;
  readonly guidanceScale?: number;
  readonly batchSize: number;
  readonly json?: boolean;
  readonly out?: string;
}

export function evaluateCommand(signal: AbortSignal): Command {
  const command = new Command('evaluate')
    .description(
      'Measures a model of postcards: real pictures, reconstructions, teacher and model on the same captions and noise.',
    )
    .addOption(
      new Option('--model <name>', 'a model of postcards, as lcm generate takes it').default(
        EMBEDDED_MODEL,
        'the one that comes with the package',
      ),
    );
  withPartOptions(command)
    .option('--teacher <name>', 'the diffusion model that it was distilled from')
    .addOption(
      new Option('--judge <dir>', 'the classifier, as lcm train judge writes it').default(
        EMBEDDED_JUDGE,
        'the one that comes with the package',
      ),
    )
    .option('--steps <list>', 'denoising steps, one row each (default: 1,2,4,8)', stepList)
    .option('--count <n>', 'captions, half seen and half held out', evenCount, PROTOCOL_COUNT)
    .option(
      '--guidance-scale <g>',
      "of model and teacher (default: the model's own, else 3)",
      number('--guidance-scale', { min: 0 }),
    )
    .option(
      '--batch-size <n>',
      'pictures drawn at a time',
      integer('--batch-size', { min: 1, max: MOST_PICTURES }),
      32,
    );
  return withEngineOptions(command)
    .option('--json', 'report as JSON lines on the standard output')
    .option('--out <dir>', 'the folder for evaluation.json, evaluation.md and a contact sheet per row')
    .action((options: Options) => run(options, signal));
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { model, teacher, judge, steps, count, guidanceScale, batchSize, out } = options;
  const reporter = createReporter({ json: options.json });
  if (out !== undefined) await requireWritable(out);
  const warned = new Set<string>();
  const opened: { dispose(): Promise<void> }[] = [];
  const keep = <T extends { dispose(): Promise<void> }>(thing: T): T => {
    opened.unshift(thing);
    return thing;
  };
  try {
    const engine = keep(createEngine(engineOptions(options)));
    const isWholeProcessor = isOnProcessor(options.engine) && options.threads === undefined;
    const replicas = isWholeProcessor ? availableParallelism() : undefined;
    const drawing = { ...engineOptions(options), replicas };
    const files = await openModel(model, options);
    const judging = keep(await openJudge(engine, judge));
    const size = judging.config.sample_size;
    const evaluation = await evaluate({
      judge: judging,
      pipeline: keep(await startPipeline({ files, components: await loadComponents(files) }, drawing)),
      teacher: teacher === undefined ? undefined : keep(await loadPipeline(teacher, drawing)),
      autoencoder: keep(await Autoencoding.open(engine, files)),
      canvas: createContext(size, size),
      steps,
      count,
      guidanceScale,
      batch: batchSize,
      signal,
      onProgress: ({ row, done, total }) => reporter.progress({ label: row, done, total, unit: 'picture' }),
      onRow: async (row, pictures) => {
        reporter.event('row', { ...row });
        reporter.note(summaryLine(row));
        if (out !== undefined) await writeSheet(out, row, pictures);
      },
      onWarning: (message) => {
        if (!warned.has(message)) reporter.warn(message);
        warned.add(message);
      },
    });
    await present(evaluation, options, reporter);
  } finally {
    await disposeUnlessCancelled(signal, ...opened);
  }
}

async function present(
  evaluation: Evaluation,
  { model, unet, vae, teacher, out }: Options,
  reporter: Reporter,
): Promise<void> {
  const name = (directory: string) => basename(resolve(directory));
  const others = Object.entries({ unet, vae, teacher }).flatMap(([part, path]) =>
    path === undefined ? [] : [[part, name(path)]],
  );
  const record = { model: name(model), ...Object.fromEntries(others), ...evaluation };
  const report = markdownReport(evaluation);
  if (out !== undefined) {
    await writeText(join(out, 'evaluation.json'), `${JSON.stringify(record, null, 2)}\n`);
    await writeText(join(out, 'evaluation.md'), report);
  }
  reporter.event('evaluation', record);
  reporter.printText(report.trimEnd());
  if (out !== undefined) reporter.printText(`\n${out}: evaluation.json, evaluation.md and contact sheets`);
}

/** `real.png`, `teacher-ddim-50.png`, `lcm-4.png`. */
async function writeSheet(
  out: string,
  { kind, sampling }: EvaluationRow,
  pictures: readonly Image[],
): Promise<void> {
  const drawn = sampling && `${sampling.scheduler}-${sampling.steps}`;
  const name = kind === 'model' ? drawn : [kind, drawn].filter(Boolean).join('-');
  await writeFileAtomically(join(out, `${name}.png`), [await encodePng(contactSheet(pictures))]);
}

async function writeText(path: string, text: string): Promise<void> {
  await writeFileAtomically(path, [new TextEncoder().encode(text)]);
}

function evenCount(text: string): number {
  const count = integer('--count', { min: 2 })(text);
  if (count % 2 === 0) return count;
  throw new UsageError(`--count ${text}: expected an even number, half of it for held-out combinations`);
}

function stepList(text: string): number[] {
  return text.split(',').map((word) => integer('--steps', { min: 1 })(word.trim()));
}
