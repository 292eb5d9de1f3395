/** `--lora PATH[:STRENGTH]`, which may be given several times. */

import { openLora } from '../../components/node/open-lora.ts';
import { UsageError } from '../../errors.ts';
import type { AppliedLora } from '../../weights/lora.ts';
import { type LoraReference, parseLoraReference } from '../../weights/lora-reference.ts';

export type { LoraReference as LoraOption };

/** For commander, which passes what was given before. */
export function loraOption(text: string, previous: readonly LoraReference[] = []): LoraReference[] {
  const reference = parseLoraReference(text);
  if (!reference.path) throw new UsageError('--lora "": expected a .safetensors file, or a folder with one');
  return [...previous, reference];
}

/** Opens them. Throws InputError for what is missing or no LoRA. */
export function openLoras(references: readonly LoraReference[]): Promise<AppliedLora[]> {
  return Promise.all(
    references.map(async ({ path, strength }) => ({ name: path, lora: await openLora(path), strength })),
  );
}
