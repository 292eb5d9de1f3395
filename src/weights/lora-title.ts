/** What a LoRA is called, and whether it is one that makes a diffusion model a latent consistency model. */

/** The key and the value in a LoRA file's metadata by which this package marks its own LCM-LoRAs. */
export const CONSISTENCY_METADATA = { 'latent-consistency': 'lcm-lora' } as const;

/** What diffusers, its scripts and peft call all files and folders of the kind. */
const ANY_LORA = /^(pytorch_lora_weights|adapter_model|unet_lora|unet|checkpoint-\d+)$/;

/**
 * The name of a LoRA by its path, as people and Automatic1111 call it: that of the file without its ending; where the
 * file is called as diffusers or peft call all of them, that of its folder, or of the repository on the hub.
 */
export function loraTitle(path: string): string {
  const parts = path.split(/[\\/]/).filter(Boolean);
  const stem = parts.at(-1)?.replace(/\.safetensors$/, '') ?? path;
  if (!ANY_LORA.test(stem)) return stem;
  const repository = parts
    .findLast((part) => part.startsWith('models--'))
    ?.split('--')
    .at(-1);
  return repository ?? parts.slice(0, -1).findLast((part) => !ANY_LORA.test(part)) ?? stem;
}

/**
 * Whether it is an LCM-LoRA (Luo et al. 2023b): its metadata say so, or `lcm` is a word of its name, as in
 * `lcm-lora-sdv1-5` and `LCM_LoRA_SDXL`. The published ones have nothing else to tell them by: a consistency LoRA has
 * the same layers as any other.
 */
export function isConsistencyLora(path: string, metadata: Readonly<Record<string, string>>): boolean {
  const marked = Object.entries(CONSISTENCY_METADATA).every(([key, value]) => metadata[key] === value);
  return marked || /(^|[^a-z])lcm([^a-z]|$)/i.test(loraTitle(path));
}
