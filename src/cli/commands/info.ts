/** `lcm info`: what a model, a LoRA or an autoencoder is made of, or how a picture was made. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { openModel } from '../../components/node/open-model.ts';
import { InputError, withPlace } from '../../errors.ts';
import { namesIn, withRegularFile } from '../../files/node/regular-file.ts';
import { cachedModel } from '../../hub/node/cache.ts';
import { isModelId } from '../../hub/node/settings.ts';
import { PARAMETERS_KEYWORD, readEmbeddedText } from '../../images/embedded-text.ts';
import { pictureFormat } from '../../images/formats/picture-header.ts';
import { readPicture } from '../../images/node/open-image.ts';
import { listed } from '../../messages.ts';
import { readForeignSettings } from '../../pipelines/foreign/read.ts';
import type { ForeignSettings } from '../../pipelines/foreign/settings.ts';
import { readPictureSettings } from '../../pipelines/picture-text.ts';
import { ADAPTER_FILE_NAME, LORA_FILE_NAME } from '../../weights/lora-file.ts';
import { openModelFolder } from '../../weights/node/model-folder.ts';
import { isRunFolder } from '../../weights/node/run-folder.ts';
import { openSafetensors } from '../../weights/node/safetensors-file.ts';
import { autoencoderAlone, type StoredAutoencoder } from '../../weights/single-file/autoencoder.ts';
import { isCheckpoint } from '../../weights/single-file/checkpoint.ts';
import { isUNetAlone, unetAlone } from '../../weights/single-file/unet-alone.ts';
import { foreignNames } from '../../weights/weights.ts';
import { describeLora, looksLikeLora } from '../info/lora.ts';
import { describeModel } from '../info/model.ts';
import { describeNetwork } from '../info/network.ts';
import { line } from '../info/numbers.ts';
import { describeRun } from '../info/run.ts';
import { type PartOptions, withPartOptions } from '../options/model.ts';
import { createReporter, type Reporter } from '../progress.ts';

/** Where a description goes, and what ends it. */
interface Context {
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

const EXPECTED =
  'expected a diffusers directory, a pulled owner/name, a .safetensors checkpoint, LoRA, UNet or VAE, or a picture';

export function infoCommand(signal: AbortSignal): Command {
  const command = new Command('info')
    .description(
      'Says what a model, a LoRA or an autoencoder is made of, how a training is doing, or with which settings a picture was made. Of weights only the headers are read, and all of it for the checksum.',
    )
    .argument('<path>', EXPECTED.replace('expected ', ''));
  return withPartOptions(command)
    .option('--json', 'report as one JSON line')
    .action((path: string, { json, unet, vae }: PartOptions & { json?: boolean }) =>
      describe(path, { unet, vae }, { reporter: createReporter({ json }), signal }),
    );
}

async function describe(path: string, parts: PartOptions, context: Context): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined && !isModelId(path)) {
    throw new InputError(`${path}: there is no such file or folder; ${EXPECTED}`, {
      path,
      code: 'not-found',
    });
  }
  // Only a whole model has parts that others could stand in place of.
  if ((parts.unet ?? parts.vae) !== undefined)
    return describeModel(path, await openModel(path, parts), context);
  // What exists comes first: a folder may be called as a model is.
  const place = found ? path : await cachedModel(path);
  // Whatever else is no folder is refused by its kind: a named pipe, a device.
  const isFolder = found === undefined || found.isDirectory();
  await (isFolder ? describeFolder(path, place, context) : describeFile(path, place, context));
}

/** path: as it was asked for; folder: where that is. */
async function describeFolder(path: string, folder: string, context: Context): Promise<void> {
  if (await isRunFolder(folder)) return describeRun(path, context.reporter);
  const names = await namesIn(folder);
  if (names.includes('model_index.json')) return describeModel(path, await openModel(folder), context);
  const lora = [LORA_FILE_NAME, ADAPTER_FILE_NAME].find((name) => names.includes(name));
  if (lora !== undefined) return describeFile(path, join(folder, lora), context);
  if (names.includes('config.json')) return describeNetwork(path, await openModelFolder(folder), context);
  const weights = names.filter((name) => name.endsWith('.safetensors'));
  if (weights.length === 1) return describeFile(path, join(folder, weights[0]!), context);
  throw new InputError(
    `${path} holds neither model_index.json, config.json, ${LORA_FILE_NAME}, ${ADAPTER_FILE_NAME} nor a single .safetensors file; ${EXPECTED}`,
    { path },
  );
}

async function describeFile(path: string, file: string, context: Context): Promise<void> {
  if (await isPicture(file)) return describePicture(path, file, context.reporter);
  if (/\.(ckpt|pt|pth|bin)$/.test(file)) {
    throw new InputError(
      `${path} is a Python pickle, which can run any code when it is opened; only safetensors are read`,
      { path, code: 'unsupported' },
    );
  }
  if (!file.endsWith('.safetensors'))
    throw new InputError(`${path} is of another kind; ${EXPECTED}`, { path });
  const opened = await openSafetensors(file);
  const { weights, metadata } = opened;
  if (isCheckpoint(weights))
    return describeModel(path, await openModel(file), context, foreignNames(weights));
  if (looksLikeLora(weights)) return describeLora(path, file, opened, context);
  if (isUNetAlone(weights)) {
    const { config } = unetAlone(weights, file);
    return describeNetwork(path, { className: 'UNet2DConditionModel', config, weights, metadata }, context);
  }
  // How latents are scaled and the size of the pictures are not in such a file.
  const unknown = { sampleSize: 0, scalingFactor: 0 };
  let autoencoder: StoredAutoencoder;
  try {
    autoencoder = autoencoderAlone(weights, file, unknown);
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(
      `${path} holds tensors (${listed([...weights.keys()], 3)}) that belong neither to a Stable Diffusion checkpoint nor to a LoRA, a UNet or an autoencoder; ${EXPECTED}`,
      { cause, path },
    );
  }
  const { sample_size: _size, scaling_factor: _factor, ...config } = autoencoder.config;
  await describeNetwork(path, { ...autoencoder, config, metadata }, context);
}

/** By how the file begins; safetensors begin with a number, which may be any. */
async function isPicture(path: string): Promise<boolean> {
  if (path.endsWith('.safetensors')) return false;
  return withRegularFile(path, async (file) => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
    return pictureFormat(buffer.subarray(0, bytesRead)) !== undefined;
  });
}

async function describePicture(path: string, file: string, reporter: Reporter): Promise<void> {
  const { parameters, settings, foreign } = await readPicture(file)
    .then(readEmbeddedText)
    .then((text) => {
      const settings = readPictureSettings(text);
      // Our own settings say everything that is in the text that we write for others.
      const foreign = settings === undefined ? readForeignSettings(text) : undefined;
      return { parameters: text[PARAMETERS_KEYWORD], settings, foreign };
    })
    .catch((error: unknown) => {
      throw withPlace(path, error);
    });
  if (settings === undefined && parameters === undefined && foreign === undefined) {
    throw new InputError(`${path} carries no settings; only pictures saved with them do`, { path });
  }
  reporter.event('picture', { path, settings, parameters, foreign });
  if (parameters !== undefined) reporter.printText(parameters);
  else if (foreign !== undefined) printForeign(foreign, reporter);
  if (settings !== undefined) reporter.printText(JSON.stringify(settings, null, 2));
  if (foreign !== undefined && foreign.leftOut.length > 0) {
    reporter.print(line('not here', listed(foreign.leftOut, 20)));
  }
}

/** What was found in a graph. */
function printForeign(
  { program, loras, leftOut: _, ...settings }: ForeignSettings,
  reporter: Reporter,
): void {
  reporter.print(`settings of ${program}`);
  for (const [name, value] of Object.entries(settings)) reporter.print(line(name, String(value)));
  for (const { name, strength } of loras) reporter.print(line('LoRA', `${name} at ${strength}`));
}
