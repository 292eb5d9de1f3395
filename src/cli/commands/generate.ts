/** `lcm generate`: pictures from a sentence. */
import { Command, Option } from 'commander';
import { UsageError } from '../../errors.ts';
import { grid } from '../../images/grid.ts';
import type { Image } from '../../images/image.ts';
import { openImage } from '../../images/node/open-image.ts';
import { encodePng } from '../../images/png.ts';
import type { PngText } from '../../images/png-text.ts';
import type { GenerationStep } from '../../pipelines/generation.ts';
import { loadPipeline } from '../../pipelines/node/load.ts';
import { pictureSettings, pictureText } from '../../pipelines/picture-text.ts';
import type { Pipeline } from '../../pipelines/pipeline.ts';
import { type SchedulerName, schedulerNames } from '../../pipelines/scheduler.ts';
import type { GenerationRequest } from '../../pipelines/settings.ts';
import { type Stage, Stopwatch } from '../../pipelines/timings.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { EMBEDDED_MODEL, EMBEDDED_MODEL_NAME } from '../embedded-models.ts';
import { type EngineName, engineNames, engineOptions } from '../engine-options.ts';
import { type LoraOption, loraOption, openLoras } from '../lora-option.ts';
import { integer, number, oneOf } from '../option-values.ts';
import { outputPaths } from '../output-paths.ts';
import { optionsFromPicture } from '../picture-options.ts';
import { createReporter, duration, type Reporter } from '../progress.ts';
import { version } from '../version.ts';

interface Options {
  readonly model: string;
  readonly vae?: string;
  readonly lora?: readonly LoraOption[];
  readonly tokenizer?: string;
  readonly steps?: number;
  readonly guidanceScale?: number;
  readonly negativePrompt?: string;
  readonly seed?: number;
  readonly width?: number;
  readonly height?: number;
  readonly numImages: number;
  readonly batchSize: number;
  readonly scheduler?: SchedulerName;
  readonly eta?: number;
  readonly image?: string;
  readonly strength?: number;
  readonly mask?: string;
  readonly from?: string;
  readonly engine: EngineName;
  readonly threads?: number;
  readonly scale: number;
  readonly preview?: boolean;
  readonly json?: boolean;
  readonly out?: string;
}

export function generateCommand(signal: AbortSignal): Command {
  return new Command('generate')
    .description('Draws pictures from a sentence. What is not given is as the model was made for.')
    .argument('[prompt]', 'what the picture should show')
    .addOption(
      new Option(
        '--model <name>',
        'a diffusers directory, a .safetensors checkpoint, or a pulled owner/name',
      ).default(EMBEDDED_MODEL, 'the one that comes with the package, of little landscapes'),
    )
    .option(
      '--vae <path>',
      "an autoencoder in place of the model's own: a folder, a file, or a pulled owner/name",
    )
    .option(
      '--lora <path[:strength]>',
      'a LoRA: a file, a folder or a pulled owner/name; may be given several times',
      loraOption,
    )
    .option('--tokenizer <dir>', 'a CLIP tokenizer, for checkpoints that come without one')
    .option('--steps <n>', 'denoising steps', integer('--steps', { min: 1 }))
    .option(
      '--guidance-scale <g>',
      'how closely to follow the prompt; 1 is none',
      number('--guidance-scale', { min: 0 }),
    )
    .option(
      '--negative-prompt <text>',
      'what the picture should not show, for models without built-in guidance',
    )
    .option('--seed <s>', 'the same seed gives the same picture; picture i has seed s + i', integer('--seed'))
    .option('--width <pixels>', 'width', integer('--width', { min: 1 }))
    .option('--height <pixels>', 'height', integer('--height', { min: 1 }))
    .option('--num-images <n>', 'how many pictures', integer('--num-images', { min: 1 }), 1)
    .option('--batch-size <n>', 'how many at a time', integer('--batch-size', { min: 1 }), 1)
    .option('--scheduler <name>', schedulerNames.join(', '), oneOf('--scheduler', schedulerNames))
    .option(
      '--eta <e>',
      'share of fresh noise in a step, for ddim and tcd',
      number('--eta', { min: 0, max: 1 }),
    )
    .option('--image <file>', 'a picture to begin with: PNG, JPEG or WebP')
    .option(
      '--strength <x>',
      'how far to go from it, above 0 up to 1',
      number('--strength', { min: 0, max: 1 }),
    )
    .option('--mask <png>', 'as large as that picture: white is drawn anew, black is kept')
    .option(
      '--from <picture>',
      'restore all settings from a picture made here; what else is given overrides them',
    )
    .option('--engine <name>', engineNames.join(', '), oneOf('--engine', engineNames), 'cpu')
    .option('--threads <n>', 'processor threads', integer('--threads', { min: 1, max: 1024 }))
    .option('--scale <n>', 'save every pixel as n × n', integer('--scale', { min: 1, max: 16 }), 1)
    .option('--preview', 'also save what the model sees at each step')
    .option('--json', 'report as JSON lines on the standard output')
    .option('--out <path>', 'a .png file, or a folder')
    .action(async (prompt: string | undefined, options: Options, command: Command) => {
      if (options.from === undefined) return generate(prompt ?? '', options, {}, signal);
      const isGiven = (name: string) => command.getOptionValueSource(name) === 'cli';
      const picture = await optionsFromPicture(options.from, isGiven);
      return generate(prompt ?? picture.prompt, { ...options, ...picture.options }, picture.request, signal);
    });
}

/** The model with its autoencoder and LoRAs as asked for. */
async function loadModel(options: Options): Promise<Pipeline> {
  const { model, vae, tokenizer } = options;
  const loras = await openLoras(options.lora ?? []);
  return loadPipeline(model, { ...engineOptions(options), vae, tokenizer, loras });
}

async function generate(
  prompt: string,
  options: Options,
  restored: Partial<GenerationRequest>,
  signal: AbortSignal,
): Promise<void> {
  if (prompt.trim() === '') {
    throw new UsageError(
      'the prompt is empty: write what the picture should show, as in lcm generate "a lighthouse by the sea"',
    );
  }
  const reporter = createReporter({ json: options.json });
  const pictures = await plan(prompt, options);
  const { image, mask } = options;
  const [picture, maskPicture] = await Promise.all(
    [image, mask].map((path) => (path === undefined ? undefined : openImage(path))),
  );
  const stopwatch = new Stopwatch<Stage | 'save'>();
  const pipeline = await stopwatch.time('load', () => loadModel(options));
  try {
    // Pictures get around: they carry no path of this machine that nobody typed.
    const model = options.model === EMBEDDED_MODEL ? EMBEDDED_MODEL_NAME : options.model;
    const made = { model, image, mask, engine: pipeline.engine, version: await version() };
    for (let first = 0; first < pictures.length; first += options.batchSize) {
      const batch = pictures.slice(first, first + options.batchSize);
      const request = requestOf(
        prompt,
        options,
        batch.map(({ seed }) => seed),
      );
      const { images, settings, timings } = await pipeline.run(
        {
          ...restored,
          ...request,
          image: picture,
          mask: maskPicture,
          signal,
          onWarning: first === 0 ? reporter.warn : undefined,
        },
        (step) => report(step, first, batch, pictures.length, options, reporter),
      );
      stopwatch.add(timings);
      for (const [i, { path, index, seed }] of batch.entries()) {
        const text = pictureText(pictureSettings(settings, i, made));
        await stopwatch.time('save', () => save(path, images[i]!, options.scale, text));
        const { width, height, steps, guidanceScale, scheduler } = settings;
        reporter.event('image', { path, index, seed, width, height, steps, guidanceScale, scheduler });
        reporter.print(`${path}  (${width}×${height}, seed ${seed})`);
      }
    }
  } catch (error) {
    throw withFlagNames(error);
  } finally {
    await pipeline.dispose();
  }
  const sinceStart = performance.now() / 1000;
  reporter.event('done', { images: pictures.length, seconds: stopwatch.seconds, sinceStart });
  const parts = Object.entries(stopwatch.seconds).map(([stage, seconds]) => `${stage} ${duration(seconds)}`);
  reporter.print(`${parts.join(', ')}; ${duration(sinceStart)} since the start`);
}

interface PlannedPicture {
  readonly index: number;
  readonly seed: number;
  readonly path: string;
}

/** Seeds and files of all pictures. */
async function plan(prompt: string, { out, numImages, seed }: Options): Promise<PlannedPicture[]> {
  const pathOf = await outputPaths(out, numImages);
  const first = seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  return Array.from({ length: numImages }, (_, index) => {
    const picture = { index, seed: first + index };
    return { ...picture, path: pathOf({ ...picture, prompt }) };
  });
}

function requestOf(prompt: string, options: Options, seed: readonly number[]): GenerationRequest {
  const { negativePrompt, steps, guidanceScale, width, height, scheduler, eta, strength } = options;
  return {
    prompt,
    negativePrompt,
    steps,
    guidanceScale,
    width,
    height,
    scheduler,
    eta,
    strength,
    seed,
    numImages: seed.length,
  };
}

/** Progress, and with --preview a picture of each step beside the final one. */
async function report(
  { step, steps, timestep, preview }: GenerationStep,
  first: number,
  batch: readonly PlannedPicture[],
  count: number,
  options: Options,
  reporter: Reporter,
): Promise<void> {
  reporter.event('step', { images: batch.map(({ index }) => index), step, steps, timestep });
  const batches = Math.ceil(count / options.batchSize);
  const done = (first / options.batchSize) * steps + step;
  reporter.progress({ label: 'drawing', done, total: batches * steps, unit: 'step' });
  if (!options.preview) return;
  for (const [i, image] of (await preview()).entries()) {
    const path = batch[i]!.path.replace(/\.png$/i, `.step-${step}.png`);
    await save(path, image, options.scale, {});
    reporter.event('preview', { path, index: batch[i]!.index, step });
  }
}

async function save(path: string, image: Image, scale: number, text: PngText): Promise<void> {
  const enlarged = scale === 1 ? image : grid([image], { scale });
  await writeFileAtomically(path, [await encodePng(enlarged, text)]);
}

/** The library names what was wrong as `steps 60: …`; on the command line that is `--steps 60: …`. */
function withFlagNames(error: unknown): unknown {
  if (!(error instanceof UsageError)) return error;
  const message = error.message.replace(
    /^(steps|strength|guidance scale|width|height|eta) (?=\S+:)/,
    (name) => `--${name.trim().replace(' ', '-')} `,
  );
  return new UsageError(message, { cause: error });
}
