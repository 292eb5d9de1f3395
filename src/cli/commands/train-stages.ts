/** `lcm train PICTURES`: the whole way from a folder of pictures to a latent consistency model. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { createEngine } from '../../engines/create-engine.ts';
import { UsageError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { grid } from '../../images/grid.ts';
import type { Image } from '../../images/image.ts';
import { encodePng } from '../../images/png.ts';
import { loadPipeline } from '../../pipelines/node/load.ts';
import type { TrainingEvent } from '../../training/loop/events.ts';
import { dataSettings } from '../../training/runs/config.ts';
import { openPictures, sampleCaptions } from '../../training/runs/pictures.ts';
import { estimate } from '../../training/runs/recipe.ts';
import { readSettings } from '../../training/runs/settings.ts';
import {
  type StageName,
  type StagesPresetName,
  stageNames,
  stagesPresets,
  trainStages,
} from '../../training/runs/stages.ts';
import { autoencoderTraining } from '../../training/runs/train-autoencoder.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { disposeUnlessCancelled } from '../dispose.ts';
import { type EngineOptions, engineOptions, withEngineOptions } from '../options/engine.ts';
import { integer, number, oneOf } from '../options/values.ts';
import { createReporter, duration, type Reporter } from '../progress.ts';
import { createReplicas, describe, sampleWriter } from '../training.ts';

interface StagesCommandOptions extends EngineOptions {
  readonly out?: string;
  readonly minutes?: number;
  readonly preset: StagesPresetName;
  readonly resolution: number;
  readonly captionColumn?: string;
  readonly batch: number;
  readonly seed: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Makes `train` itself take a folder of pictures. */
export function withStages(command: Command, signal: AbortSignal): Command {
  const presets = Object.entries(stagesPresets).map(([name, { words }]) => `${name} (${words})`);
  command
    .enablePositionalOptions()
    .argument('[pictures]', 'a folder with pictures and captions: trains all stages, one after the other')
    .option('--out <dir>', 'where the stages are kept; what was stopped there goes on')
    .option(
      '--minutes <m>',
      'the time there is: divided among the stages by how fast each is here',
      number('--minutes', { min: 0.1, max: 100_000 }),
    )
    .option(
      '--preset <name>',
      presets.join(', '),
      oneOf('--preset', Object.keys(stagesPresets) as StagesPresetName[]),
      'tiny',
    )
    .option(
      '--resolution <n>',
      'pixels along each side of the pictures',
      integer('--resolution', { min: 8, max: 4096 }),
      64,
    )
    .option('--caption-column <name>', 'the column of metadata or of a table that holds captions')
    .option('--batch <n>', 'pictures that are computed together', integer('--batch', { min: 1 }), 32)
    .option('--seed <s>', 'decides initial weights, order and noise', integer('--seed', { min: 0 }), 0)
    .option('--dry-run', 'print what the first stage takes, and train nothing');
  return withEngineOptions(command)
    .option('--json', 'report as JSON lines on the standard output')
    .action((pictures: string | undefined, options: StagesCommandOptions) =>
      trainAll(pictures, options, signal),
    );
}

async function trainAll(
  pictures: string | undefined,
  options: StagesCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  if (pictures === undefined) {
    throw new UsageError('train what? name a folder with pictures, or a stage; run "lcm train --help"');
  }
  if (!(await stat(pictures).catch(() => undefined))) {
    throw new UsageError(
      `unknown command '${pictures}'; run "lcm train --help" for what it takes, or name a folder with pictures`,
    );
  }
  const { out: directory = '', minutes, preset, resolution, captionColumn, batch, seed, dryRun } = options;
  if (directory === '' && !dryRun)
    throw new UsageError('--out is missing: name the folder for what is trained');
  const data: JsonObject = {
    kind: 'folder',
    path: pictures,
    resolution,
    ...(captionColumn !== undefined && { captionColumn }),
  };
  const reporter = createReporter({ json: options.json });
  const engine = createEngine(engineOptions(options));
  const replicas = createReplicas(batch, options);
  try {
    if (dryRun) {
      const config = await autoencoderTraining.configure({ data, batch, seed });
      describe(await estimate(autoencoderTraining, config, { engine, replicas, signal }), reporter);
      const time = minutes === undefined ? '' : `; with ${minutes} minutes as many as fit`;
      const steps = stageNames.map((stage) => `${stage} ${stagesPresets[preset].steps[stage]}`);
      reporter.print(`that was the first of the stages ${steps.join(', ')} steps${time}`);
      return;
    }
    const models = await trainStages({
      data,
      directory,
      preset,
      minutes,
      seed,
      batch,
      engine,
      replicas,
      signal,
      onStage: (stage, steps) => {
        reporter.event('stage', { stage, steps });
        reporter.note(`${placeOf(stage)}: ${steps} steps`);
      },
      onProgress: (stage, event) => showStage(stage, event, reporter),
      onSample: async (stage, sample) => {
        await sampleWriter(join(directory, stage), options, reporter, signal)(sample);
      },
    });
    signal.throwIfAborted();
    const { diffusion, consistency } = models as Record<StageName, string>;
    const path = join(directory, 'evaluation.png');
    const shown = { data: readSettings(dataSettings, data), batch: 1 };
    const prompts = sampleCaptions(await openPictures(shown, { signal }));
    const drawn = await compare({ diffusion, consistency, prompts }, options, reporter, signal);
    await writeFileAtomically(path, [await encodePng(drawn.sheet, { Description: prompts.join('\n') })]);
    reporter.event('result', { model: consistency, teacher: diffusion, evaluation: path, drawn: drawn.rows });
    for (const { name, seconds } of drawn.rows) reporter.print(`${name}: ${duration(seconds)} per picture`);
    reporter.print(`${path}  (rows in this order, for captions that were kept from training)`);
    reporter.print(consistency);
  } finally {
    await disposeUnlessCancelled(signal, engine, ...replicas);
  }
}

/** `diffusion (2 of 4)`. */
function placeOf(stage: StageName): string {
  return `${stage} (${stageNames.indexOf(stage) + 1} of ${stageNames.length + 1})`;
}

/** One line of progress for each stage. */
function showStage(stage: StageName, event: TrainingEvent, reporter: Reporter): void {
  if (event.type === 'warning') {
    reporter.warn(event.message);
    return;
  }
  const { type, ...fields } = event;
  reporter.event(type, { stage, ...fields });
  if (event.type === 'stopping') reporter.note(`finishing step ${event.step}; Ctrl-C again to end at once`);
  if (event.type === 'phase' && event.total !== undefined) {
    reporter.progress({
      label: `${placeOf(stage)}, ${event.message}`,
      unit: 'image',
      done: event.done ?? 0,
      total: event.total,
    });
  }
  if (event.type !== 'step') return;
  reporter.progress({
    label: placeOf(stage),
    done: event.step,
    total: event.steps,
    unit: 'image',
    rate: event.imagesPerSecond,
    secondsLeft: event.secondsLeft,
    detail: `loss ${event.loss.toPrecision(4)}`,
  });
}

interface Compared {
  readonly diffusion: string;
  readonly consistency: string;
  readonly prompts: readonly string[];
}

/** What the diffusion model draws in 50 steps, and below it the distilled one in 1, 2 and 4, from the same noise. */
async function compare(
  { diffusion, consistency, prompts }: Compared,
  options: StagesCommandOptions,
  reporter: Reporter,
  signal: AbortSignal,
) {
  const rows: { readonly name: string; readonly seconds: number }[] = [];
  const images: Image[] = [];
  const draw = async (model: string, name: string, counts: readonly number[]) => {
    const pipeline = await loadPipeline(model, engineOptions(options));
    try {
      for (const steps of counts) {
        const begun = performance.now();
        const { images: drawn } = await pipeline.generate({ prompt: [...prompts], seed: 0, steps, signal });
        const seconds = (performance.now() - begun) / 1000 / prompts.length;
        rows.push({ name: `${name}, ${steps} ${steps === 1 ? 'step' : 'steps'}`, seconds });
        images.push(...drawn);
        reporter.progress({ label: 'evaluation (4 of 4)', done: rows.length, total: 4, unit: 'row' });
      }
    } finally {
      await disposeUnlessCancelled(signal, pipeline);
    }
  };
  await draw(diffusion, 'diffusion model', [50]);
  await draw(consistency, 'distilled', [1, 2, 4]);
  const scale = images[0]!.width <= 128 ? 2 : 1;
  return { rows, sheet: grid(images, { columns: prompts.length, padding: 4, scale }) };
}
