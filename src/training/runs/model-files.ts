/** Reading and writing single networks in diffusers' layout: a folder with config.json and a safetensors file. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { float32Data, type HostTensor } from '../../graph/host-tensor.ts';
import { convertTensor } from '../../weights/convert.ts';
import { writeDirectoryAtomically, writeDurably } from '../../weights/node/atomic-write.ts';
import { loadTensors, openSafetensors, writeSafetensors } from '../../weights/node/safetensors-file.ts';
import type { Weights } from '../../weights/weights.ts';
import type { FlatParameters } from '../flat-parameters.ts';

/** The networks of a diffusers folder, with the class and the file that each is known by. */
export const NETWORKS = {
  vae: { className: 'AutoencoderKL', file: 'diffusion_pytorch_model.safetensors' },
  unet: { className: 'UNet2DConditionModel', file: 'diffusion_pytorch_model.safetensors' },
  text_encoder: { className: 'CLIPTextModel', file: 'model.safetensors' },
} as const;
export type NetworkName = keyof typeof NETWORKS;

export interface StoredNetwork {
  readonly config: unknown;
  readonly weights: Weights;
}

/** A network of the diffusers folder `directory`. Throws InputError when it is not there. */
export async function readNetwork(directory: string, network: NetworkName): Promise<StoredNetwork> {
  const folder = join(directory, network);
  const text = await readFile(join(folder, 'config.json'), 'utf8').catch((cause) => {
    throw new InputError(
      `${directory} has no ${network}/config.json; expected a diffusers folder with a ${NETWORKS[network].className}`,
      { cause },
    );
  });
  const { weights } = await openSafetensors(join(folder, NETWORKS[network].file));
  return { config: JSON.parse(text), weights };
}

/** Copies stored weights into parameters to train on, as float32. Throws InputError for one that is missing. */
export async function loadParameters(
  parameters: FlatParameters,
  weights: Weights,
  from: string,
): Promise<void> {
  const names = parameters.slots.map(({ name }) => name);
  const missing = names.filter((name) => !weights.has(name));
  if (missing.length > 0) {
    throw new InputError(
      `${from} lacks ${missing.length} of ${names.length} weights, the first is ${missing[0]}`,
    );
  }
  for (const [name, tensor] of await loadTensors(weights, names)) {
    parameters.set(name, convertTensor(tensor, 'float32'));
  }
}

/** Writes `directory/<network>` with config and weights. */
export async function writeNetwork(
  directory: string,
  network: NetworkName,
  config: object,
  tensors: ReadonlyMap<string, HostTensor>,
): Promise<void> {
  const { className, file } = NETWORKS[network];
  const json =
    network === 'text_encoder'
      ? { architectures: [className], model_type: 'clip_text_model', ...config }
      : { _class_name: className, ...config };
  await writeDirectoryAtomically(
    join(directory, network),
    async (partial) => {
      await writeJson(join(partial, 'config.json'), json);
      await writeSafetensors(join(partial, file), tensors, { format: 'pt' });
    },
    { replace: true },
  );
}

export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeDurably(path, [new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)]);
}

/** Root mean square over all elements. */
export function rootMeanSquare(x: HostTensor): number {
  let sum = 0;
  for (const value of float32Data(x)) sum += value * value;
  return Math.sqrt(sum / x.data.length);
}
