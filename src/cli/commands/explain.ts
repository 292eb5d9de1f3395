/** `lcm explain consistency`: the figure of what a consistency model makes of one picture at every noise level. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { loadComponents, pictureSize } from '../../components/components.ts';
import type { ModelFiles } from '../../components/model-files.ts';
import { EMBEDDED_MODEL } from '../../components/node/embedded-models.ts';
import { openModel } from '../../components/node/open-model.ts';
import { squareSide } from '../../components/size.ts';
import { createContext } from '../../datasets/node/canvas.ts';
import { postcard } from '../../datasets/postcards/postcards.ts';
import { renderTensor } from '../../datasets/postcards/render.ts';
import { createEngine } from '../../engines/create-engine.ts';
import type { Engine } from '../../engines/engine.ts';
import { UsageError } from '../../errors.ts';
import { Autoencoding } from '../../evaluation/autoencoding.ts';
import { describeErrors, explainConsistency, type LoadedModel } from '../../evaluation/consistency.ts';
import { consistencyFigure } from '../../evaluation/node/consistency-figure.ts';
import { PROTOCOL_GUIDANCE_SCALE } from '../../evaluation/protocol.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { encodePng } from '../../images/png.ts';
import { Networks } from '../../networks/networks.ts';
import { textToImage } from '../../pipelines/text-to-image.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { disposeUnlessCancelled } from '../dispose.ts';
import { type EngineOptions, engineOptions, withEngineOptions } from '../options/engine.ts';
import { type PartOptions, withPartOptions } from '../options/model.ts';
import { integer, number, oneOf } from '../options/values.ts';
import { outputPaths } from '../output-paths.ts';
import { createReporter } from '../progress.ts';

interface Options extends EngineOptions, PartOptions {
  readonly model: string;
  readonly teacher?: string;
  readonly prompt?: string;
  readonly index?: number;
  readonly view?: 'trajectory' | 'noised';
  readonly seed: number;
  readonly guidanceScale?: number;
  readonly columns: number;
  readonly json?: boolean;
  readonly out: string;
}

export function explainCommand(signal: AbortSignal): Command {
  const consistency = new Command('consistency')
    .summary('the same picture at every noise level')
    .description(
      'Draws, for one picture at many noise levels, what the model makes of each, before and after distillation.',
    )
    .addOption(
      new Option('--model <name>', 'a latent consistency model, as lcm generate takes it').default(
        EMBEDDED_MODEL,
        'the one that comes with the package, of little landscapes',
      ),
    );
  withPartOptions(consistency)
    .option(
      '--teacher <name>',
      'the diffusion model that it was distilled from (default: teacher/ in the model)',
    )
    .option('--prompt <text>', 'a picture that the model draws')
    .option(
      '--index <n>',
      'a postcard of the test split (default: 0)',
      integer('--index', { min: 0, max: 2 ** 32 - 1 }),
    )
    .option(
      '--view <name>',
      "trajectory, the teacher's way from noise, or noised, the picture with more and more noise (default: trajectory if there is a teacher)",
      oneOf('--view', ['trajectory', 'noised']),
    )
    .option('--seed <s>', 'of the noise', integer('--seed'), 0)
    .option(
      '--guidance-scale <g>',
      "default: the model's own, else 3",
      number('--guidance-scale', { min: 0 }),
    )
    .option('--columns <n>', 'noise levels to show', integer('--columns', { min: 2 }), 8);
  withEngineOptions(consistency)
    .option('--json', 'report as JSON lines on the standard output')
    .option('--out <file>', 'the figure, a .png file', 'consistency.png')
    .action((options: Options) => run(options, signal));
  return new Command('explain').description('Shows how a model works.').addCommand(consistency);
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { prompt, index, seed, columns } = options;
  if (prompt !== undefined && index !== undefined) {
    throw new UsageError(
      '--prompt and --index: expected one of them, the picture to draw or the postcard to take',
    );
  }
  const reporter = createReporter({ json: options.json });
  const pathOf = await outputPaths(options.out, 1);
  const engine = createEngine(engineOptions(options));
  try {
    const files = await openModel(options.model, options);
    const student = await load(files, engine);
    const within = join(files.location, 'teacher');
    const teacherName =
      options.teacher ?? (existsSync(join(within, 'model_index.json')) ? within : undefined);
    const teacher = teacherName === undefined ? undefined : await load(await openModel(teacherName), engine);
    const guidanceScale =
      options.guidanceScale ?? student.model.defaults.guidanceScale ?? PROTOCOL_GUIDANCE_SCALE;
    const subject =
      prompt === undefined
        ? await postcardLatents(
            engine,
            files,
            { index: index ?? 0, size: squareSide(pictureSize(student.model)) },
            signal,
          )
        : { prompt, latents: await drawnLatents(student, prompt, seed, guidanceScale, signal) };
    const explanation = await explainConsistency({
      student,
      teacher,
      ...subject,
      seed,
      guidanceScale,
      columns,
      signal,
      view: options.view ?? (teacher ? 'trajectory' : 'noised'),
      onProgress: (done, total) => reporter.progress({ label: 'asking', done, total, unit: 'level' }),
    });
    const path = pathOf({ index: 0, prompt: 'consistency', seed });
    await writeFileAtomically(path, [await encodePng(consistencyFigure(explanation))]);
    const { columns: shown, ...facts } = explanation;
    reporter.event('consistency', { path, ...facts, timesteps: shown.map(({ timestep }) => timestep) });
    for (const line of describeErrors(explanation)) reporter.print(line);
    reporter.print(path);
  } finally {
    await disposeUnlessCancelled(signal, engine);
  }
}

async function load(files: ModelFiles, engine: Engine): Promise<LoadedModel> {
  const model = await loadComponents(files);
  return { model, networks: new Networks(model, engine) };
}

/** A real picture, encoded. */
async function postcardLatents(
  engine: Engine,
  files: ModelFiles,
  { index, size }: { readonly index: number; readonly size: number | undefined },
  signal: AbortSignal,
): Promise<{ prompt: string; latents: HostTensor }> {
  const card = postcard(index, { split: 'test', size });
  const context = createContext(card.size, card.size);
  const pixels = hostTensor(renderTensor(context, [card]), [1, 3, card.size, card.size]);
  const autoencoder = await Autoencoding.open(engine, files);
  return { prompt: card.caption, latents: await autoencoder.encode(pixels, { signal }) };
}

/** The latents of the picture that the model draws from the same noise. */
async function drawnLatents(
  { model, networks }: LoadedModel,
  prompt: string,
  seed: number,
  guidanceScale: number,
  signal: AbortSignal,
): Promise<HostTensor> {
  const steps = textToImage(model, networks, { prompt, seed, guidanceScale, signal });
  for (;;) {
    const next = await steps.next();
    if (next.done) return next.value.latents;
  }
}
