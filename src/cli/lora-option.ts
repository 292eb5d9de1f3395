/** `--lora PATH[:STRENGTH]`, which may be given several times. */

import { openLora } from '../components/node/open-lora.ts';
import { UsageError } from '../errors.ts';
import type { AppliedLora } from '../weights/lora.ts';

export interface LoraOption {
  readonly path: string;
  readonly strength: number;
}

/** For commander, which passes what was given before. `C:\lora` is a path; a strength is a number after the last colon. */
export function loraOption(text: string, previous: readonly LoraOption[] = []): LoraOption[] {
  const [, path, strength] = /^(.+):([+-]?(?:\d+\.?\d*|\.\d+))$/.exec(text) ?? [undefined, text, '1'];
  if (!path) throw new UsageError('--lora "": expected a .safetensors file, or a folder with one');
  return [...previous, { path, strength: Number(strength) }];
}

/** Opens them. Throws InputError for what is missing or no LoRA. */
export function openLoras(options: readonly LoraOption[]): Promise<AppliedLora[]> {
  return Promise.all(options.map(async ({ path, strength }) => ({ lora: await openLora(path), strength })));
}
