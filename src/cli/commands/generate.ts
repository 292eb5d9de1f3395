/** `lcm generate`: pictures from a sentence. */
import { Command } from 'commander';
import { Session } from '../../drawing/session.ts';
import { UsageError } from '../../errors.ts';
import { formatBytes } from '../../format-bytes.ts';
import { grid } from '../../images/grid.ts';
import { encodePng } from '../../images/png.ts';
import { resize } from '../../images/resize.ts';
import type { GenerationStep } from '../../pipelines/generation.ts';
import type { Pipeline } from '../../pipelines/pipeline.ts';
import { MOST_PICTURES } from '../../pipelines/request-settings.ts';
import { type Stage, Stopwatch } from '../../pipelines/timings.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { disposeUnlessCancelled } from '../dispose.ts';
import { openModelOf, showLoading, warningsAbout } from '../opened-model.ts';
import { engineOptions } from '../options/engine.ts';
import {
  type GenerationOptions,
  openPictures,
  promptOf,
  withGenerationOptions,
  withPromptOption,
} from '../options/generation.ts';
import { optionsFromPicture, type RestoredOptions } from '../options/picture.ts';
import { randomSeed, requestOf } from '../options/request.ts';
import { integer } from '../options/values.ts';
import { outputPaths } from '../output-paths.ts';
import { createReporter, duration, passUnit, type Reporter } from '../progress.ts';

/** Of one command, which knows all their names and seeds before it begins. */
const MOST_IMAGES = 100_000;

const MOST_AT_A_TIME = { min: 1, max: MOST_PICTURES, because: 'they are in memory together' };

interface Options extends GenerationOptions {
  readonly batchSize: number;
  readonly replicas?: number;
  readonly prompt?: string;
  readonly numImages: number;
  readonly scale: number;
  readonly preview?: boolean;
  readonly previewVae?: string;
  readonly json?: boolean;
  readonly out?: string;
}

export function generateCommand(signal: AbortSignal): Command {
  const command = new Command('generate')
    .description('Draws pictures from a sentence. What is not given is as the model was made for.')
    .argument('[prompt]', 'what the picture should show');
  return withPromptOption(withGenerationOptions(command))
    .option(
      '--num-images <n>',
      'how many pictures; picture i has seed s + i',
      integer('--num-images', {
        min: 1,
        max: MOST_IMAGES,
        because: 'for more, draw again with another --seed',
      }),
      1,
    )
    .option('--batch-size <n>', 'how many at a time', integer('--batch-size', MOST_AT_A_TIME), 1)
    .option(
      '--replicas <n>',
      'engines of one thread that share each batch; 1: one engine with all threads (default: one per core, where batches are large and the model is small)',
      integer('--replicas', { min: 1, max: 1024 }),
    )
    .option('--scale <n>', 'save every pixel as n × n', integer('--scale', { min: 1, max: 16 }), 1)
    .option(
      '--preview',
      'also save what the model sees at each step, coarsely where its decoder is more work than a step',
    )
    .option(
      '--preview-vae <path>',
      'a small autoencoder for previews, such as TAESD: a folder, a file, or a pulled owner/name; implies --preview',
    )
    .option('--json', 'report as JSON lines on the standard output')
    .option('-o, --out <path>', 'a .png file, or a folder')
    .action(async (argument: string | undefined, options: Options, command: Command) => {
      const prompt = promptOf(argument, options);
      if (options.from === undefined) return generate(prompt ?? '', options, undefined, signal);
      const isGiven = (name: string) => command.getOptionValueSource(name) === 'cli';
      const picture = await optionsFromPicture(options.from, isGiven);
      return generate(prompt ?? picture.prompt, { ...options, ...picture.options }, picture, signal);
    });
}

async function generate(
  prompt: string,
  options: Options,
  restored: RestoredOptions | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (prompt.trim() === '') {
    throw new UsageError(
      'the prompt is empty: write what the picture should show, as in lcm generate "a lighthouse by the sea"',
    );
  }
  const reporter = createReporter({ json: options.json });
  for (const warning of restored?.warnings ?? []) reporter.warn(warning);
  const pictures = await plan(prompt, options);
  const opened = await openPictures(options, reporter);
  const stopwatch = new Stopwatch<Stage | 'save'>();
  const model = await stopwatch.time('load', () => openModelOf(options));
  for (const warning of warningsAbout(model)) reporter.warn(warning);
  const { batchSize, replicas, previewVae, lowMemory, quantize } = options;
  const session = await stopwatch.time('load', () =>
    Session.start(model, {
      ...engineOptions(options),
      batchSize,
      replicas,
      previewVae,
      lowMemory,
      quantize,
      onProgress: showLoading(reporter),
      // All pictures are of one prompt.
      releaseTextEncoders: true,
    }),
  );
  const { pipeline } = session;
  try {
    const changes = await stopwatch.time('load', () => session.changesSince(restored?.drawnWith ?? {}));
    for (const change of changes) reporter.warn(`--from ${options.from}: ${change}`);
    if (options.scheduler === undefined && pipeline.model.defaults.scheduler === 'lcm')
      reporter.note('with an LCM-LoRA: LCM scheduler, and unless given 4 steps at guidance scale 1');
    const schedulers = [model.files, model.own].map(({ classes }) => classes.get('scheduler'));
    if (options.scheduler === undefined && schedulers[0] !== schedulers[1])
      reporter.note(`with this UNet the scheduler is ${schedulers[0]}`);
    for (let first = 0; first < pictures.length; first += options.batchSize) {
      const batch = pictures.slice(first, first + options.batchSize);
      const request = requestOf(
        prompt,
        options,
        batch.map(({ seed }) => seed),
      );
      const drawing = session.draw({
        ...request,
        ...opened,
        signal,
        onWarning: first === 0 ? reporter.warn : undefined,
      });
      for await (const step of drawing) {
        await report(step, pipeline, first, batch, pictures.length, options, reporter);
      }
      const { images, settings, timings } = await drawing;
      stopwatch.add(timings);
      for (const [i, { path, index, seed }] of batch.entries()) {
        await stopwatch.time('save', () => images[i]!.save(path, options));
        const { steps, guidanceScale, scheduler } = settings;
        // Of the file.
        const [width, height] = [settings.width, settings.height].map((side) => side * options.scale);
        reporter.event('image', { path, index, seed, width, height, steps, guidanceScale, scheduler });
        reporter.print(`${path}  (${width}×${height}, seed ${seed})`);
      }
    }
  } finally {
    await disposeUnlessCancelled(signal, session);
  }
  const sinceStart = performance.now() / 1000;
  const peakMemory = 1024 * process.resourceUsage().maxRSS;
  reporter.event('done', { images: pictures.length, seconds: stopwatch.seconds, sinceStart, peakMemory });
  const parts = Object.entries(stopwatch.seconds).map(([stage, seconds]) => `${stage} ${duration(seconds)}`);
  reporter.print(`${parts.join(', ')}; ${duration(sinceStart)} since the start`);
  if (options.lowMemory) reporter.print(`${formatBytes(peakMemory)} of memory at most`);
}

interface PlannedPicture {
  readonly index: number;
  readonly seed: number;
  readonly path: string;
}

/** Seeds and files of all pictures. */
async function plan(prompt: string, { out, numImages, seed }: Options): Promise<PlannedPicture[]> {
  const pathOf = await outputPaths(out, numImages);
  const first = seed ?? randomSeed();
  return Array.from({ length: numImages }, (_, index) => {
    const picture = { index, seed: first + index };
    return { ...picture, path: pathOf({ ...picture, prompt }) };
  });
}

/** Progress, and with --preview a picture of each step beside the final one, as large as that. */
async function report(
  { step, steps, passesPerStep, timestep, latents, preview }: GenerationStep,
  { model }: Pipeline,
  first: number,
  batch: readonly PlannedPicture[],
  count: number,
  options: Options,
  reporter: Reporter,
): Promise<void> {
  reporter.event('step', { images: batch.map(({ index }) => index), step, steps, timestep });
  const batches = Math.ceil(count / options.batchSize);
  const done = (first / options.batchSize) * steps + step;
  reporter.progress({ label: 'drawing', done, total: batches * steps, unit: passUnit(passesPerStep) });
  if (!options.preview && options.previewVae === undefined) return;
  const [height, width] = latents.shape.slice(2).map((side) => side * model.vae.config.factor);
  for (const [i, image] of (await preview()).entries()) {
    const path = batch[i]!.path.replace(/\.png$/i, `.step-${step}.png`);
    const large = resize(image, width!, height!);
    const enlarged = options.scale === 1 ? large : grid([large], options);
    await writeFileAtomically(path, [await encodePng(enlarged)]);
    reporter.event('preview', { path, index: batch[i]!.index, step });
  }
}
