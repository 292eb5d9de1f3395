/** Networks of models: opened to start from, as whoever draws opens them, and described to be written. */
import type { StoredNetwork } from '../../components/model-files.ts';
import { libraryOf, type StoredModel } from '../../components/node/stored-model.ts';
import { InputError } from '../../errors.ts';
import { isJsonObject } from '../../files/json.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { convertTensor } from '../../weights/convert.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import type { ModelToWrite } from '../../weights/node/write-diffusers.ts';
import { foreignNames, readableType, type Weights } from '../../weights/weights.ts';
import type { FlatParameters } from '../update/flat-parameters.ts';

/** The networks of models that are trained, by folder, with the classes that diffusers knows them by. */
export const NETWORKS = {
  vae: 'AutoencoderKL',
  unet: 'UNet2DConditionModel',
  text_encoder: 'CLIPTextModel',
  text_encoder_2: 'CLIPTextModelWithProjection',
} as const;
export type NetworkName = keyof typeof NETWORKS;

/** A network of a model. Throws InputError when it has none, or weights of a type that is not read. */
export async function networkOf(model: StoredModel, part: NetworkName): Promise<StoredNetwork> {
  return requireReadable(await model.network(part));
}

/** All weights of what is trained are written again, some only when the training is done. */
export function requireReadable<T extends StoredNetwork>(network: T): T {
  const [foreign] = foreignNames(network.weights);
  if (foreign !== undefined) readableType(foreign, network.weights.get(foreign)!);
  return network;
}

/** What `writeDiffusersDirectory` takes. */
export function networkToWrite(
  network: NetworkName,
  config: object,
  tensors: ReadonlyMap<string, HostTensor>,
): ModelToWrite {
  const modelType = network === 'text_encoder' ? { model_type: 'clip_text_model' } : {};
  const className = NETWORKS[network];
  return { library: libraryOf(className), className, config: { ...config, ...modelType }, tensors };
}

/** The stored network as it is, to be written again. */
export async function storedNetworkToWrite(
  className: string,
  { config, weights, location }: StoredNetwork,
): Promise<ModelToWrite> {
  if (!isJsonObject(config))
    throw new InputError(`${location} has a config that is no JSON object`, { path: location });
  return { library: libraryOf(className), className, config, tensors: await loadTensors(weights) };
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
      { path: from, code: 'damaged' },
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
