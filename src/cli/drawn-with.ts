/** What pictures are drawn with: named in them as it was asked for, with checksums to know it by. */
import { createHash } from 'node:crypto';
import { modelFingerprint, weightsFingerprint } from '../components/node/fingerprint.ts';
import type { Surroundings } from '../pipelines/picture-text.ts';
import { filesOf, hashFile, hashTensors } from '../weights/node/file-hash.ts';
import type { Weights } from '../weights/weights.ts';
import { shownModel } from './generation-options.ts';
import type { ModelOfOptions } from './opened-model.ts';

export type DrawnWith = Omit<Surroundings, 'image' | 'mask' | 'version' | 'engine'>;

/** Reads LoRAs and another autoencoder whole, of the model and another UNet next to nothing. */
export async function drawnWith(opened: ModelOfOptions): Promise<DrawnWith> {
  const { unet, vae, lora = [], tokenizer, config, predictionType } = opened.options;
  const loras = await Promise.all(
    opened.loras.map(async ({ lora: { from }, strength }, i) => ({
      ...{ path: lora[i]!.path, strength },
      ...{ sha256: await hashFile(from), dataSha256: await hashTensors(from) },
    })),
  );
  return {
    model: shownModel(opened.options),
    modelFingerprint: await modelFingerprint(opened.own),
    ...(unet !== undefined && {
      unet: { path: unet, fingerprint: await weightsFingerprint([['unet', opened.components.unet.weights]]) },
    }),
    ...(vae !== undefined && {
      vae: { path: vae, sha256: await hashOf(opened.components.vae.weights) },
    }),
    ...(lora.length > 0 && { loras }),
    ...(tokenizer !== undefined && { tokenizer }),
    ...(config !== undefined && { config }),
    ...(predictionType !== undefined && { predictionType }),
  };
}

/** SHA-256 of the file that the weights lie in; of several files, that of their checksums one after the other. */
async function hashOf(weights: Weights): Promise<string> {
  const hashes = await Promise.all(filesOf(weights).map((path) => hashFile(path)));
  return hashes.length === 1 ? hashes[0]! : createHash('sha256').update(hashes.join('')).digest('hex');
}

/** What is not as it was, one sentence each. Only what `then` has is compared. */
export function changesSince(then: Partial<DrawnWith>, now: DrawnWith): string[] {
  const changes: string[] = [];
  const compare = (what: string, before: string | undefined, after: string | undefined) => {
    if (before === undefined || before === after) return;
    const digits = (hash: string | undefined) => hash?.slice(0, 12) ?? 'none';
    changes.push(
      `${what} is not the one that the picture was drawn with (checksum ${digits(before)} then, ${digits(after)} now); the new picture will differ`,
    );
  };
  compare(`the model ${now.model}`, then.modelFingerprint, now.modelFingerprint);
  compare(`the UNet ${now.unet?.path}`, then.unet?.fingerprint, now.unet?.fingerprint);
  compare(`the VAE ${now.vae?.path}`, then.vae?.sha256, now.vae?.sha256);
  then.loras?.forEach(({ path, sha256 }, i) => {
    compare(`the LoRA ${path}`, sha256, now.loras?.[i]?.sha256);
  });
  return changes;
}
