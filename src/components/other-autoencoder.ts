/** A model with an autoencoder from elsewhere. */
import { type Files, hasFile, sourceIn, within } from '../files/files.ts';
import { diffusersDirectoryOf } from '../weights/diffusers-directory.ts';
import { modelFolderOf } from '../weights/model-folder.ts';
import { safetensorsOf } from '../weights/open-safetensors.ts';
import { type AutoencoderTraining, autoencoderAlone } from '../weights/single-file/autoencoder.ts';
import type { ModelFiles, StoredAutoencoder } from './model-files.ts';

/** The model with `autoencoder` for its own. */
export function withAutoencoder(files: ModelFiles, { className, ...network }: StoredAutoencoder): ModelFiles {
  return {
    ...files,
    classes: new Map([...files.classes, ['vae', className]]),
    network: async (component) => (component === 'vae' ? network : files.network(component)),
  };
}

/**
 * The autoencoder of a folder: a diffusers directory, one with nothing but a `vae`, or the folder of the network itself.
 * Throws InputError when there is none.
 */
export async function autoencoderIn(files: Files): Promise<StoredAutoencoder> {
  const isPipeline = await hasFile(files, 'model_index.json');
  const named = isPipeline ? (await diffusersDirectoryOf(files)).components.get('vae')?.className : undefined;
  // What `lcm train autoencoder` writes is a folder with a vae and nothing else.
  const isInside = isPipeline || (await hasFile(files, 'vae/config.json'));
  const folder = isInside ? within(files, 'vae') : files;
  const { path: location, className, config, weights } = await modelFolderOf(folder, { className: named });
  return { location, className, config, weights };
}

/**
 * The autoencoder in the safetensors file `path` of a folder. A file does not say how its latents are scaled: it is taken
 * to be made for `model`, or, without one, to scale them as Stable Diffusion 1 does. Throws InputError when there is none.
 */
export async function autoencoderInFile(
  files: Files,
  path: string,
  model?: ModelFiles,
): Promise<StoredAutoencoder> {
  const source = await sourceIn(files, path);
  const { weights } = await safetensorsOf(source);
  return { location: source.name, ...autoencoderAlone(weights, source.name, await trainingOf(model)) };
}

/** How the model's own autoencoder scales latents; where it has none, how its family does. */
async function trainingOf(model: ModelFiles | undefined): Promise<AutoencoderTraining> {
  const isXL = model?.pipelineClass.startsWith('StableDiffusionXL');
  const usual = isXL
    ? { sampleSize: 1024, scalingFactor: 0.13025 }
    : { sampleSize: 512, scalingFactor: 0.18215 };
  if (model?.classes.get('vae') !== 'AutoencoderKL') return usual;
  const { config } = await model.network('vae');
  const { sample_size: size, scaling_factor: factor } = config as Record<string, unknown>;
  return {
    sampleSize: typeof size === 'number' ? size : usual.sampleSize,
    scalingFactor: typeof factor === 'number' ? factor : usual.scalingFactor,
  };
}
