/**
 * Trained LoRAs as files: peft's layout, as diffusers saves it, or kohya's, which most other programs write; with the
 * metadata by which others list, sort and recognise them.
 */
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { convertTensor, type StorageDType } from './convert.ts';
import { KOHYA_PREFIXES, type LoraComponent } from './lora-names.ts';
import { CONSISTENCY_METADATA } from './lora-title.ts';

export const loraFormats = ['peft', 'kohya'] as const;
export type LoraFormat = (typeof loraFormats)[number];

/** The families of models whose LoRAs others know by name. */
export type LoraBase = 'stable-diffusion-v1' | 'stable-diffusion-v2' | 'stable-diffusion-xl';

/** What kohya's programs call them in `ss_base_model_version`. */
const KOHYA_BASES: Readonly<Record<LoraBase, string>> = {
  'stable-diffusion-v1': 'sd_v1',
  'stable-diffusion-v2': 'sd_v2',
  'stable-diffusion-xl': 'sdxl_base_v1-0',
};
/** And ModelSpec in `modelspec.architecture`. */
const ARCHITECTURES: Readonly<Record<LoraBase, string>> = {
  'stable-diffusion-v1': 'stable-diffusion-v1',
  'stable-diffusion-v2': 'stable-diffusion-v2-768-v',
  'stable-diffusion-xl': 'stable-diffusion-xl-v1-base',
};

export interface TrainedLora {
  readonly rank: number;
  readonly alpha: number;
  readonly component?: LoraComponent;
  /** Default: peft. */
  readonly format?: LoraFormat;
  /** Default: float32. */
  readonly dtype?: StorageDType;
  /** Marks an LCM-LoRA, which makes a diffusion model draw in few steps. */
  readonly isConsistency?: boolean;
  /** What it was trained on; undefined for models of no known family. */
  readonly base?: LoraBase | undefined;
  readonly predictionType?: string | undefined;
  /** Of the pictures, in pixels. */
  readonly resolution?: { readonly width: number; readonly height: number } | undefined;
  readonly title?: string | undefined;
}

/**
 * The file of a trained LoRA. `factors`: `<layer>.lora_A.weight` [r, …] and `<layer>.lora_B.weight` [O, r, …] of every
 * layer, float32.
 */
export function formatLora(
  factors: ReadonlyMap<string, HostTensor>,
  lora: TrainedLora,
): { tensors: Map<string, HostTensor>; metadata: Record<string, string> } {
  const { component = 'unet', format = 'peft', dtype = 'float32', rank, alpha, isConsistency } = lora;
  const stored = [...factors].map(([name, tensor]) => [name, convertTensor(tensor, dtype)] as const);
  const tensors =
    format === 'peft'
      ? new Map(stored.map(([name, tensor]) => [`${component}.${name}`, tensor]))
      : kohyaTensors(stored, component, convertTensor(hostTensor(Float32Array.of(alpha), []), dtype));
  const layers = [...factors.keys()].map((name) => name.replace(/\.lora_[AB]\.weight$/, ''));
  return {
    tensors,
    metadata: {
      format: 'pt',
      ...(format === 'peft' && { lora_adapter_metadata: peftConfig(component, { rank, alpha, layers }) }),
      ...kohyaMetadata(
        lora,
        [...factors.values()].some(({ shape }) => shape.length > 2),
      ),
      ...modelSpec(lora),
      ...(isConsistency && CONSISTENCY_METADATA),
    },
  };
}

function peftConfig(
  component: LoraComponent,
  { rank, alpha, layers }: { rank: number; alpha: number; layers: readonly string[] },
): string {
  const config = {
    r: rank,
    lora_alpha: alpha,
    peft_type: 'LORA',
    target_modules: [...new Set(layers)].sort(),
  };
  const named = Object.entries(config).map(([name, value]) => [`${component}.${name}`, value]);
  return JSON.stringify(Object.fromEntries(named), null, 2);
}

function kohyaTensors(
  stored: readonly (readonly [string, HostTensor])[],
  component: LoraComponent,
  alpha: HostTensor,
): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>();
  for (const [name, tensor] of stored) {
    const [layer, end] = name.split('.lora_') as [string, string];
    const base = `${KOHYA_PREFIXES[component]}_${layer.replaceAll('.', '_')}`;
    tensors.set(`${base}.lora_${end.startsWith('A') ? 'down' : 'up'}.weight`, tensor);
    tensors.set(`${base}.alpha`, alpha);
  }
  return tensors;
}

/** By which kohya's programs and Automatic1111 know what a LoRA is for. */
function kohyaMetadata(
  { rank, alpha, base, resolution }: TrainedLora,
  hasConvolutions: boolean,
): Record<string, string> {
  return {
    ss_network_module: 'networks.lora',
    ss_network_dim: String(rank),
    ss_network_alpha: String(alpha),
    // Convolutions have the same rank.
    ...(hasConvolutions && {
      ss_network_args: JSON.stringify({ conv_dim: String(rank), conv_alpha: String(alpha) }),
    }),
    ...(base && { ss_base_model_version: KOHYA_BASES[base], ss_v2: base.endsWith('v2') ? 'True' : 'False' }),
    ...(resolution && { ss_resolution: `(${resolution.width}, ${resolution.height})` }),
  };
}

/** Stability AI's ModelSpec 1.0.0: nothing where the family is not one that it names. */
function modelSpec({ base, title, predictionType, resolution }: TrainedLora): Record<string, string> {
  if (base === undefined) return {};
  return {
    'modelspec.sai_model_spec': '1.0.0',
    'modelspec.architecture': `${ARCHITECTURES[base]}/lora`,
    'modelspec.implementation': 'diffusers',
    'modelspec.title': title ?? 'LoRA',
    ...(predictionType !== undefined && {
      'modelspec.prediction_type': predictionType === 'v_prediction' ? 'v' : predictionType,
    }),
    ...(resolution && { 'modelspec.resolution': `${resolution.width}x${resolution.height}` }),
  };
}
