/** `lcm info`: what a model is made of, or how a picture was made. */
import { readFile, stat } from 'node:fs/promises';
import { Command } from 'commander';
import { InputError } from '../../errors.ts';
import { elementCount } from '../../graph/shape.ts';
import { readPngText } from '../../images/png-text.ts';
import { type Component, loadComponents } from '../../pipelines/components.ts';
import { diffusersFiles } from '../../pipelines/node/diffusers-files.ts';
import { PARAMETERS_KEYWORD, readPictureSettings } from '../../pipelines/picture-text.ts';
import { createReporter, type Reporter } from '../progress.ts';

export function infoCommand(): Command {
  return new Command('info')
    .description('Says what a model is made of, or with which settings a picture was made.')
    .argument('<path>', 'a diffusers directory, or a .png file')
    .option('--json', 'report as one JSON line')
    .action(async (path: string, { json }: { json?: boolean }) => {
      const reporter = createReporter({ json });
      const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
        throw new InputError(`${path}: there is no such file or folder`, { cause });
      });
      await (found.isDirectory() ? describeModel(path, reporter) : describePicture(path, reporter));
    });
}

async function describeModel(path: string, reporter: Reporter): Promise<void> {
  const model = await loadComponents(await diffusersFiles(path));
  const { config: unet } = model.unet;
  const { config: vae } = model.vae;
  const parts = {
    unet: summary(model.unet),
    vae: summary(model.vae),
    text_encoder: summary(model.textEncoder),
    ...(model.second && { text_encoder_2: summary(model.second.textEncoder) }),
  };
  const side = unet.sample_size === null ? vae.sampleSize : unet.sample_size * vae.factor;
  const facts = {
    pipeline: model.pipelineClass,
    scheduler: model.scheduler.className,
    prediction: model.scheduler.predictionType,
    guidance: unet.time_cond_proj_dim === null ? 'classifier-free (two passes)' : 'built in (one pass)',
    size: side,
    tokens: model.textEncoder.config.max_position_embeddings,
    defaults: model.defaults,
  };
  reporter.event('model', { path, ...facts, parts });
  reporter.print(`${path}: ${facts.pipeline}, ${facts.scheduler}, predicts ${facts.prediction}`);
  for (const [name, { parameters, bytes, dtypes }] of Object.entries(parts)) {
    reporter.print(
      `  ${name.padEnd(13)}${count(parameters).padStart(9)} parameters, ${megabytes(bytes)} of ${dtypes.join(' and ')}`,
    );
  }
  reporter.print(`  guidance     ${facts.guidance}`);
  if (side !== undefined)
    reporter.print(`  pictures     ${side}×${side}, sides in multiples of ${vae.factor}`);
  reporter.print(`  prompts      up to ${facts.tokens - 2} tokens`);
}

async function describePicture(path: string, reporter: Reporter): Promise<void> {
  const text = await readPngText(await readFile(path));
  const settings = readPictureSettings(text);
  const parameters = text[PARAMETERS_KEYWORD];
  if (settings === undefined && parameters === undefined) {
    throw new InputError(`${path} carries no settings; only pictures saved with them do`);
  }
  reporter.event('picture', { path, settings, parameters });
  if (parameters !== undefined) reporter.print(parameters);
  if (settings !== undefined) reporter.print(JSON.stringify(settings, null, 2));
}

function summary({ weights }: Component<unknown>) {
  let parameters = 0;
  let bytes = 0;
  for (const { shape, storage } of weights.values()) {
    parameters += elementCount(shape);
    bytes += storage.kind === 'bytes' ? storage.bytes.byteLength : storage.length;
  }
  return { parameters, bytes, dtypes: [...new Set([...weights.values()].map(({ dtype }) => dtype))] };
}

function count(parameters: number): string {
  return parameters >= 1e6 ? `${(parameters / 1e6).toFixed(2)} M` : `${(parameters / 1e3).toFixed(1)} k`;
}

function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(2)} MB`;
}
