/** Whether pictures would be drawn with what another picture was drawn with. */
import type { DrawnWith } from '../pipelines/picture-text.ts';

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
