/** A model with a UNet from elsewhere: one that was published alone, or that of another model. */
import { samplerKind } from '../diffusion/samplers/index.ts';
import { InputError } from '../errors.ts';
import { type Files, folderOf, hasFile, jsonObjectIn, sourceIn, within } from '../files/files.ts';
import { isJsonObject } from '../files/json.ts';
import { brief } from '../messages.ts';
import { modelFolderOf } from '../weights/model-folder.ts';
import { safetensorsOf } from '../weights/open-safetensors.ts';
import { isCheckpoint } from '../weights/single-file/checkpoint.ts';
import { isUNetAlone, unetAlone, unetLike } from '../weights/single-file/unet-alone.ts';
import { modelFilesIn } from './diffusers-files.ts';
import type { ModelFiles, StoredNetwork } from './model-files.ts';
import { singleFileIn } from './single-file.ts';

export const UNET_CLASS = 'UNet2DConditionModel';

/** What a model says of how to sample: it was written for its UNet, and goes with it. */
const OF_THE_UNET = /^(scheduler\/|generation_defaults\.json$)/;

/** A UNet for another model than its own. */
export interface OtherUNet {
  readonly network: StoredNetwork;
  /** The whole model that it was taken from; undefined for a UNet alone. */
  readonly from?: ModelFiles;
}

/**
 * The model with `unet` in place of its own. One with a guidance embedding makes the model a latent consistency model,
 * drawn with LCM's sampler. Whether it fits the model's other parts, `loadComponents` says.
 */
export async function withUNet(files: ModelFiles, { network, from }: OtherUNet): Promise<ModelFiles> {
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
    checkpoint: from ? from.checkpoint : files.checkpoint,
    classes: new Map([...files.classes, ['unet', UNET_CLASS], ['scheduler', scheduler]]),
    network: async (component) => (component === 'unet' ? network : files.network(component)),
    text: async (path) => {
      if (path === 'generation_defaults.json' && !sameKind) return undefined;
      return (OF_THE_UNET.test(path) ? source : files).text(path);
    },
  };
}

/**
 * The UNet of a folder: a diffusers directory (its UNet is taken, with its scheduler), a folder with one network, or
 * one with a single safetensors file, for which see `unetInFile`. Throws InputError when there is none.
 */
export async function unetIn(files: Files, model: ModelFiles): Promise<OtherUNet> {
  if (await hasFile(files, 'model_index.json')) return unetOf(await modelFilesIn(files));
  if (await hasFile(files, 'config.json')) return unetInFolder(files);
  if (await hasFile(files, 'unet/config.json')) return unetInFolder(within(files, 'unet'));
  const names = (await files.list()).filter((name) => name.endsWith('.safetensors'));
  if (names.length === 1) return unetInFile(files, names[0]!, model);
  throw new InputError(
    `UNet ${files.location}: the folder holds none; expected config.json with weights, model_index.json, or one .safetensors file`,
    { path: files.location },
  );
}

/**
 * The UNet in the safetensors file `path` of a folder: one alone, or that of a checkpoint, with its scheduler. What the
 * configuration of one alone is, says the config.json beside it; else it is that of the UNet of `model`. Throws
 * InputError when there is none, or it is built in another way.
 */
export async function unetInFile(files: Files, path: string, model: ModelFiles): Promise<OtherUNet> {
  const source = await sourceIn(files, path);
  const location = source.name;
  const { weights } = await safetensorsOf(source);
  if (!isUNetAlone(weights)) {
    if (isCheckpoint(weights)) return unetOf(await singleFileIn(files, path));
    const [first = 'absent'] = weights.keys();
    throw new InputError(
      `UNet ${location}: the file holds none, or something besides; its first tensor is ${brief(first)}`,
      { path: location },
    );
  }
  const { folder } = folderOf(files, path);
  if (await hasFile(folder, 'config.json')) {
    const config = await jsonObjectIn(folder, 'config.json');
    if (config._class_name === UNET_CLASS) {
      return { network: { location, config, weights: unetAlone(weights, location).weights } };
    }
  }
  const own = await model.network('unet');
  const like = { config: isJsonObject(own.config) ? own.config : {}, weights: own.weights };
  return { network: { location, ...unetLike(weights, location, like) } };
}

async function unetInFolder(files: Files): Promise<OtherUNet> {
  const { path, className, config, weights } = await modelFolderOf(files);
  if (className !== UNET_CLASS)
    throw new InputError(`UNet ${path} is a ${className}; expected a ${UNET_CLASS}`, { path });
  return { network: { location: path, config, weights } };
}

async function unetOf(from: ModelFiles): Promise<OtherUNet> {
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
