/** Networks of diffusers folders: read to start from, and described to be written. */
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { convertTensor } from '../../weights/convert.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import type { ModelFolder } from '../../weights/model-folder.ts';
import { openModelFolder } from '../../weights/node/model-folder.ts';
import { refuseRunFolder } from '../../weights/node/run-folder.ts';
import type { ModelToWrite } from '../../weights/node/write-diffusers.ts';
import { foreignNames, readableType, type Weights } from '../../weights/weights.ts';
import type { FlatParameters } from '../flat-parameters.ts';

/** The networks of a pipeline by folder, with the classes that diffusers knows them by. */
const NETWORKS = {
  vae: { library: 'diffusers', className: 'AutoencoderKL' },
  unet: { library: 'diffusers', className: 'UNet2DConditionModel' },
  text_encoder: { library: 'transformers', className: 'CLIPTextModel' },
} as const;
export type NetworkName = keyof typeof NETWORKS;

/** Opens a network of the diffusers folder `directory`. */
export async function openNetwork(directory: string, network: NetworkName): Promise<ModelFolder> {
  await refuseRunFolder(directory);
  const { className } = NETWORKS[network];
  const folder = await openModelFolder(join(directory, network), { className });
  const [foreign] = foreignNames(folder.weights);
  // All of them are written again, some only when the training is done.
  if (foreign !== undefined) readableType(foreign, folder.weights.get(foreign)!);
  return folder;
}

/** What `writeDiffusersDirectory` takes. */
export function networkToWrite(
  network: NetworkName,
  config: object,
  tensors: ReadonlyMap<string, HostTensor>,
): ModelToWrite {
  const modelType = network === 'text_encoder' ? { model_type: 'clip_text_model' } : {};
  return { ...NETWORKS[network], config: { ...config, ...modelType }, tensors };
}

/** The stored network as it is, to be written again. */
export async function storedNetworkToWrite(network: NetworkName, stored: ModelFolder): Promise<ModelToWrite> {
  return { ...NETWORKS[network], config: stored.config, tensors: await loadTensors(stored.weights) };
}

/**
 * Copies stored weights into parameters to train on, as float32. Throws InputError for one that is missing, unless
 * `optional` allows it.
 */
export async function loadParameters(
  parameters: FlatParameters,
  weights: Weights,
  from: string,
  optional: (name: string) => boolean = () => false,
): Promise<void> {
  const names = parameters.slots.map(({ name }) => name);
  const missing = names.filter((name) => !weights.has(name) && !optional(name));
  if (missing.length > 0) {
    throw new InputError(
      `${from} lacks ${missing.length} of the ${names.length} weights of the model, such as ${missing[0]}`,
    );
  }
  const present = names.filter((name) => weights.has(name));
  for (const [name, tensor] of await loadTensors(weights, present)) {
    parameters.set(name, convertTensor(tensor, 'float32'));
  }
}

/** The tensors whose names begin with `prefix`, without it. */
export function withoutPrefix(
  tensors: Readonly<Record<string, HostTensor>>,
  prefix: string,
): Map<string, HostTensor> {
  return new Map(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}
