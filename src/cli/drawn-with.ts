/** What pictures are drawn with, and whether it is still the same. */
import { drawnWith as drawnWithModel } from '../pipelines/node/drawn-with.ts';
import type { DrawnWith } from '../pipelines/picture-text.ts';
import type { ModelOfOptions } from './opened-model.ts';

/** See `drawnWith` of the library: the model that the options name. */
export function drawnWith(opened: ModelOfOptions): Promise<DrawnWith> {
  return drawnWithModel({ ...opened, name: opened.options.model });
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
