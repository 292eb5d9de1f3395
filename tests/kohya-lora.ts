/** LoRA files in kohya's layout, as most training programs write them, from factors as peft names them. */
import { type HostTensor, hostTensor } from '../src/graph/host-tensor.ts';
import type { LoraComponent } from '../src/weights/lora-file.ts';

const PREFIXES = { unet: 'lora_unet', text_encoder: 'lora_te', text_encoder_2: 'lora_te2' } as const;

/** factors: `<layer>.lora_A.weight` and `<layer>.lora_B.weight` of every layer. */
export function kohyaLora(
  factors: ReadonlyMap<string, HostTensor>,
  { component = 'unet', alpha }: { component?: LoraComponent; alpha: number },
): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>();
  for (const [name, tensor] of factors) {
    const [layer, end] = name.split('.lora_') as [string, string];
    const base = `${PREFIXES[component]}_${layer.replaceAll('.', '_')}`;
    tensors.set(`${base}.lora_${end.startsWith('A') ? 'down' : 'up'}.weight`, tensor);
    tensors.set(`${base}.alpha`, hostTensor(Float32Array.of(alpha), []));
  }
  return tensors;
}
