import { expect, it } from 'vitest';
import { CONSISTENCY_METADATA, isConsistencyLora, loraTitle } from './lora-title.ts';

it.each([
  ['style.safetensors', 'style'],
  ['loras/LCM_LoRA_SDv15.safetensors', 'LCM_LoRA_SDv15'],
  ['C:\\loras\\a.b.safetensors', 'a.b'],
  ['papercut/pytorch_lora_weights.safetensors', 'papercut'],
  ['pytorch_lora_weights.safetensors', 'pytorch_lora_weights'],
  ['papercut/adapter_model.safetensors', 'papercut'],
  ['runs/my-lcm/checkpoint-500/unet_lora/pytorch_lora_weights.safetensors', 'my-lcm'],
  ['unet_lora/pytorch_lora_weights.safetensors', 'pytorch_lora_weights'],
  [
    'hub/models--latent-consistency--lcm-lora-sdv1-5/snapshots/abc/pytorch_lora_weights.safetensors',
    'lcm-lora-sdv1-5',
  ],
])('calls %s %s', (path, title) => {
  expect(loraTitle(path)).toBe(title);
});

it.each([
  ['lcm-lora-sdv1-5.safetensors', true],
  ['LCM_LoRA_SDXL.safetensors', true],
  ['my-lcm/pytorch_lora_weights.safetensors', true],
  ['my-lcm/adapter_model.safetensors', true],
  ['my-lcm/unet_lora/pytorch_lora_weights.safetensors', true],
  ['lcm/style.safetensors', false],
  ['calcmium.safetensors', false],
])('takes %s for an LCM-LoRA: %s', (path, expected) => {
  expect(isConsistencyLora(path, {})).toBe(expected);
});

it('believes what the metadata say', () => {
  expect(isConsistencyLora('mine.safetensors', { format: 'pt', ...CONSISTENCY_METADATA })).toBe(true);
});
