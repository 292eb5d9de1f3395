/** What pictures are drawn with: named in them as it was asked for, with checksums to know it by. */
import { createHash } from 'node:crypto';
import type { Components } from '../../components/components.ts';
import type { ModelFiles } from '../../components/model-files.ts';
import { EMBEDDED_MODEL, EMBEDDED_MODEL_NAME } from '../../components/node/embedded-models.ts';
import { modelFingerprint, weightsFingerprint } from '../../components/node/fingerprint.ts';
import type { OpenModelOptions } from '../../components/node/open-model.ts';
import type { AppliedLora } from '../../weights/lora.ts';
import { filesOf, hashFile, hashTensors } from '../../weights/node/file-hash.ts';
import type { Weights } from '../../weights/weights.ts';
import type { DrawnWith } from '../picture-text.ts';

/** A model, and by which names its parts were asked for. */
export interface NamedModel {
  readonly name: string;
  readonly options: OpenModelOptions;
  /** The files with the model's own parts, whatever the options say. */
  readonly own: ModelFiles;
  readonly components: Components;
  readonly loras: readonly AppliedLora[];
}

/** Reads LoRAs and another autoencoder whole, of the model and another UNet next to nothing. */
export async function drawnWith({ name, options, own, components, loras }: NamedModel): Promise<DrawnWith> {
  const { unet, vae, tokenizer, config, predictionType } = options;
  const adapters = await Promise.all(
    loras.map(async ({ name, lora: { from }, strength }) => ({
      path: name ?? from,
      strength,
      sha256: await hashFile(from),
      dataSha256: await hashTensors(from),
    })),
  );
  return {
    model: shownModel(name),
    modelFingerprint: await modelFingerprint(own),
    ...(unet !== undefined && {
      unet: { path: unet, fingerprint: await weightsFingerprint([['unet', components.unet.weights]]) },
    }),
    ...(vae !== undefined && {
      vae: { path: vae, sha256: await hashOf(components.vae.weights) },
    }),
    ...(adapters.length > 0 && { loras: adapters }),
    ...(tokenizer !== undefined && { tokenizer }),
    ...(config !== undefined && { config }),
    ...(predictionType !== undefined && { predictionType }),
  };
}

/** How pictures name a model: pictures get around, and carry no path of this machine that nobody typed. */
export function shownModel(name: string): string {
  return name === EMBEDDED_MODEL ? EMBEDDED_MODEL_NAME : name;
}

/** SHA-256 of the file that the weights lie in; of several files, that of their checksums one after the other. */
async function hashOf(weights: Weights): Promise<string> {
  const hashes = await Promise.all(filesOf(weights).map((path) => hashFile(path)));
  return hashes.length === 1 ? hashes[0]! : createHash('sha256').update(hashes.join('')).digest('hex');
}
