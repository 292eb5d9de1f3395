/** A model with a UNet from elsewhere: one that was published alone, or that of another model. */
import { dirname, join } from 'node:path';
import { samplerKind } from '../../diffusion/samplers/index.ts';
import { InputError } from '../../errors.ts';
import { isJsonObject } from '../../files/json.ts';
import { isFile, pathKind } from '../../files/node/path-kind.ts';
import { namesIn } from '../../files/node/regular-file.ts';
import { readJsonObject } from '../../files/node/text-file.ts';
import { localPath } from '../../hub/node/cache.ts';
import { brief } from '../../messages.ts';
import { openModelFolder } from '../../weights/node/model-folder.ts';
import { openSafetensors } from '../../weights/node/safetensors-file.ts';
import { isCheckpoint } from '../../weights/single-file/checkpoint.ts';
import { isUNetAlone, unetAlone, unetLike } from '../../weights/single-file/unet-alone.ts';
import type { ModelFiles, StoredNetwork } from '../model-files.ts';
import { diffusersFiles } from './diffusers-files.ts';
import { singleFile } from './single-file.ts';
import { libraryOf, type StoredModel } from './stored-model.ts';

const CLASS = 'UNet2DConditionModel';

/** What a model says of how to sample: it was written for its UNet, and goes with it. */
const OF_THE_UNET = /^(scheduler\/|generation_defaults\.json$)/;

interface OtherUNet {
  readonly network: StoredNetwork;
  /** The whole model that it was taken from; undefined for a UNet alone. */
  readonly from?: ModelFiles;
}

/**
 * The model with the UNet `name` in place of its own: a folder with one, a file, a diffusers directory or a checkpoint
 * (their UNet is taken, with their scheduler), or by its name on the hub one that was downloaded before. One with a
 * guidance embedding makes the model a latent consistency model, drawn with LCM's sampler. Throws InputError when there
 * is no such UNet; whether it fits the model's other parts, `loadComponents` says.
 */
export async function withUNet(files: StoredModel, name: string): Promise<StoredModel> {
  const { network, from } = await openUNet(name, files);
  const source = from ?? files;
  const guided = takesGuidance(network);
  const ownScheduler = source.classes.get('scheduler') ?? '';
  const kind = samplerKind(ownScheduler);
  const scheduler = guided && kind !== 'lcm' && kind !== 'tcd' ? 'LCMScheduler' : ownScheduler;
  // What the model was made for holds for a UNet of its own kind.
  const sameKind = from !== undefined || guided === takesGuidance(await files.network('unet'));
  return {
    ...files,
    pipelineClass: pipelineClassFor(files.pipelineClass, network),
    isCombined: true,
    libraries: new Map([...files.libraries, ['unet', libraryOf(CLASS)], ['scheduler', libraryOf(scheduler)]]),
    about: async () => {
      // What was measured with the model's own UNet.
      const { 'evaluation.md': _, ...texts } = await files.about();
      return texts;
    },
    checkpoint: from ? from.checkpoint : files.checkpoint,
    classes: new Map([...files.classes, ['unet', CLASS], ['scheduler', scheduler]]),
    network: async (component) => (component === 'unet' ? network : files.network(component)),
    text: async (path) => {
      if (path === 'generation_defaults.json' && !sameKind) return undefined;
      return (OF_THE_UNET.test(path) ? source : files).text(path);
    },
  };
}

async function openUNet(name: string, model: ModelFiles): Promise<OtherUNet> {
  const path = await localPath(name);
  const kind = await pathKind(path);
  if (kind === undefined)
    throw new InputError(`UNet ${path}: there is no such file or folder`, { path, code: 'not-found' });
  if (kind === 'file') return openFile(path, model);
  const names = await namesIn(path);
  if (names.includes('model_index.json')) return ofModel(await diffusersFiles(path));
  if (names.includes('config.json')) return openFolder(path);
  if (await isFile(join(path, 'unet', 'config.json'))) return openFolder(join(path, 'unet'));
  const files = names.filter((file) => file.endsWith('.safetensors'));
  if (files.length === 1) return openFile(join(path, files[0]!), model);
  throw new InputError(
    `UNet ${path}: the folder holds none; expected config.json with weights, model_index.json, or one .safetensors file`,
    { path },
  );
}

async function openFolder(folder: string): Promise<OtherUNet> {
  const { path, className, config, weights } = await openModelFolder(folder);
  if (className !== CLASS)
    throw new InputError(`UNet ${path} is a ${className}; expected a ${CLASS}`, { path });
  return { network: { location: path, config, weights } };
}

async function openFile(path: string, model: ModelFiles): Promise<OtherUNet> {
  const { weights } = await openSafetensors(path);
  if (!isUNetAlone(weights)) {
    if (isCheckpoint(weights)) return ofModel(await singleFile(path));
    const [first = 'absent'] = weights.keys();
    throw new InputError(
      `UNet ${path}: the file holds none, or something besides; its first tensor is ${brief(first)}`,
      { path },
    );
  }
  const beside = join(dirname(path), 'config.json');
  if (await isFile(beside)) {
    const config = await readJsonObject(beside);
    if (config._class_name === CLASS) {
      return { network: { location: path, config, weights: unetAlone(weights, path).weights } };
    }
  }
  const own = await model.network('unet');
  const like = { config: isJsonObject(own.config) ? own.config : {}, weights: own.weights };
  return { network: { location: path, ...unetLike(weights, path, like) } };
}

async function ofModel(from: ModelFiles): Promise<OtherUNet> {
  return { network: await from.network('unet'), from };
}

/** diffusers' pipeline for such a UNet: its own for consistency models takes none without a guidance embedding. */
function pipelineClassFor(own: string, network: StoredNetwork): string {
  const family = own.startsWith('StableDiffusionXL') ? 'StableDiffusionXL' : 'StableDiffusion';
  const { in_channels: inputs = 4, out_channels: outputs = 4 } = isJsonObject(network.config)
    ? network.config
    : {};
  if (inputs !== outputs) return `${family}InpaintPipeline`;
  return own.startsWith('LatentConsistencyModel') && !takesGuidance(network) ? `${family}Pipeline` : own;
}

function takesGuidance({ config }: StoredNetwork): boolean {
  return isJsonObject(config) && typeof config.time_cond_proj_dim === 'number';
}
