/**
 * A latent consistency model of Stable Diffusion 1.5's shapes with random weights: it draws nothing worth seeing, at
 * exactly the cost of one that does. It is written once, in float16 as people have it, into the build folder.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readJsonObject } from '../src/files/node/text-file.ts';
import { hostTensor } from '../src/graph/host-tensor.ts';
import { input } from '../src/graph/tensor.ts';
import { DeclaredParams, type Params } from '../src/layers/params.ts';
import * as autoencoderKL from '../src/models/autoencoder-kl.ts';
import * as autoencoderTiny from '../src/models/autoencoder-tiny.ts';
import { clipText } from '../src/models/clip-text.ts';
import { stableDiffusion15 } from '../src/models/presets.ts';
import { unet2DCondition } from '../src/models/unet-2d-condition.ts';
import { Generator } from '../src/random/generator.ts';
import { convertTensor } from '../src/weights/convert.ts';
import { partFiles } from '../src/weights/node/copied-files.ts';
import {
  type ModelToWrite,
  writeDiffusersDirectory,
  writeModelFolder,
} from '../src/weights/node/write-diffusers.ts';
import { EMBEDDED_MODEL } from './generation.ts';

const FOLDER = fileURLToPath(new URL('../random-models', import.meta.url));

export interface RandomModel {
  /** A diffusers directory, with AutoencoderKL. */
  readonly model: string;
  /** The folder of an AutoencoderTiny. */
  readonly taesd: string;
}

/** Makes the model if it is not there yet; 2.1 GB. */
export async function randomStableDiffusion15(): Promise<RandomModel> {
  const made = { model: join(FOLDER, 'sd15'), taesd: join(FOLDER, 'taesd') };
  const { vae, taesd, unetLCM, textEncoder } = stableDiffusion15;
  if (!(await exists(made.taesd))) {
    const tensors = randomWeights((params) => {
      const latents = autoencoderTiny.encode(taesd.config, params, input('pixels', [1, 3, 64, 64]));
      autoencoderTiny.decode(taesd.config, params, latents);
    });
    const network: ModelToWrite = {
      library: 'diffusers',
      className: 'AutoencoderTiny',
      config: { ...taesd.config },
      tensors,
    };
    await writeModelFolder(made.taesd, network, { dtype: 'float16' });
  }
  if (!(await exists(made.model))) {
    // The tokenizer decides what a prompt means, not what it costs: the embedded model's will do.
    const tokenizer = await partFiles(EMBEDDED_MODEL, join(EMBEDDED_MODEL, 'tokenizer'));
    const schedulerConfig = await readJsonObject(join(EMBEDDED_MODEL, 'scheduler', 'scheduler_config.json'));
    const { max_position_embeddings: length, hidden_size: width } = textEncoder.config;
    const components = {
      scheduler: { library: 'diffusers', className: 'LCMScheduler', schedulerConfig },
      tokenizer: { library: 'transformers', className: 'CLIPTokenizer', files: tokenizer },
      text_encoder: {
        library: 'transformers',
        className: 'CLIPTextModel',
        config: { ...textEncoder.config },
        tensors: randomWeights((params) => {
          clipText(textEncoder.config, params, input('ids', [1, length], 'int64'));
        }),
      },
      unet: {
        library: 'diffusers',
        className: 'UNet2DConditionModel',
        config: { ...unetLCM.config },
        tensors: randomWeights((params) => {
          unet2DCondition(unetLCM.config, params, {
            sample: input('sample', [1, 4, 64, 64]),
            timestep: input('timestep', [1]),
            encoderHiddenStates: input('states', [1, length, width]),
            timestepCond: input('guidance', [1, unetLCM.config.time_cond_proj_dim!]),
          });
        }),
      },
      vae: {
        library: 'diffusers',
        className: 'AutoencoderKL',
        config: { ...vae.config },
        tensors: randomWeights((params) => {
          autoencoderKL.encode(vae.config, params, input('pixels', [1, 3, 64, 64]));
          autoencoderKL.decode(vae.config, params, input('latents', [1, 4, 8, 8]));
        }),
      },
    } as const;
    const pipeline = { pipelineClass: 'LatentConsistencyModelPipeline', components };
    await writeDiffusersDirectory(made.model, pipeline, { dtype: 'float16' });
  }
  return made;
}

/** Initial values, in float16, of all the weights that a model function asks for. */
function randomWeights(model: (params: Params) => void): ModelToWrite['tensors'] {
  const declared = new DeclaredParams();
  model(declared.params);
  const random = new Generator(0);
  return new Map(
    [...declared.declarations].map(([name, { shape, initializer }]) => [
      name,
      convertTensor(hostTensor(initializer(shape, random), shape), 'float16'),
    ]),
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
