/**
 * LoRA files in the layouts that are about: peft's, as diffusers saves it (`unet.<layer>.lora_A.weight`, alpha in the
 * metadata), kohya's (`lora_unet_<layer with _>.lora_down.weight`, alpha as a tensor), in which LCM-LoRA was
 * published, and diffusers' own of earlier times.
 */
import { InputError } from '../errors.ts';
import { isJsonObject, parseJson } from '../files/json.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { brief } from '../messages.ts';
import { type LoraComponent, type LoraPart, layerKey, parseLoraName } from './lora-names.ts';
import { isConsistencyLora } from './lora-title.ts';
import type { Weights } from './weights.ts';

export type { LoraComponent } from './lora-names.ts';

/** The names of a layer's tensors: W + strength · alpha/rank · up · down. */
export interface LoraLayer {
  readonly down: string;
  readonly up: string;
  /** A tensor's name, a number, or undefined where it equals the rank. */
  readonly alpha: string | number | undefined;
  /** Rank-stabilised (Kalajdzievski 2023): alpha/√rank in place of alpha/rank. */
  readonly rankStabilized: boolean;
}

export interface Lora {
  /** For messages: the file. */
  readonly from: string;
  /** Whether it is an LCM-LoRA: see `isConsistencyLora`. */
  readonly isConsistency: boolean;
  readonly weights: Weights;
  /** By the layer's name with `_` for `.`, the form in which both layouts agree. */
  readonly layers: Readonly<Record<LoraComponent, ReadonlyMap<string, LoraLayer>>>;
}

/**
 * Finds the layers in a safetensors file's weights and metadata. `alpha` replaces what the file says; without either
 * it is the rank. Throws InputError, naming the tensor, for anything that is not plain LoRA.
 */
export function readLora(
  weights: Weights,
  metadata: Readonly<Record<string, string>>,
  from: string,
  { alpha }: { alpha?: number } = {},
): Lora {
  const settings = readAdapterMetadata(metadata, from);
  if (weights.size === 0) throw new InputError(`${from} holds no tensors, so no LoRA`);
  const found = { unet: new Map(), text_encoder: new Map(), text_encoder_2: new Map() } as Record<
    LoraComponent,
    Map<string, Partial<Record<'layer' | LoraPart, string>>>
  >;
  for (const name of weights.keys()) {
    const parsed = parseLoraName(name);
    if (!parsed) {
      throw new InputError(
        `${from}: "${brief(name)}" is not LoRA as diffusers (unet.….lora_A.weight) or kohya (lora_unet_….lora_down.weight) write it; other kinds of adapters are not supported`,
      );
    }
    const { component, layer, part } = parsed;
    const key = layerKey(component, layer);
    found[component].set(key, { ...found[component].get(key), layer, [part]: name });
  }
  const layersOf = (component: LoraComponent) =>
    new Map(
      [...found[component]].map(([key, { layer, down, up, alpha: stored }]): [string, LoraLayer] => {
        if (down === undefined || up === undefined) {
          throw new InputError(
            `${from}: the layer ${brief(layer!)} has only one of its two factors; the file is damaged`,
          );
        }
        const stated = stored ?? settings.alphaOf(component, layer!);
        return [
          key,
          { down, up, alpha: alpha ?? stated, rankStabilized: settings.rankStabilized(component) },
        ];
      }),
    );
  const layers = {
    unet: layersOf('unet'),
    text_encoder: layersOf('text_encoder'),
    text_encoder_2: layersOf('text_encoder_2'),
  };
  return { from, isConsistency: isConsistencyLora(from, metadata), weights, layers };
}

/**
 * The file of a trained LoRA. `factors`: `<layer>.lora_A.weight` [r, …] and `<layer>.lora_B.weight` [O, r, …] of
 * every layer, float32. diffusers loads either layout, kohya's is the one that most other programs know.
 */
export function formatLora(
  factors: ReadonlyMap<string, HostTensor>,
  { component = 'unet', rank, alpha }: { component?: LoraComponent; rank: number; alpha: number },
  layout: 'peft' | 'kohya',
): { tensors: Map<string, HostTensor>; metadata: Record<string, string> } {
  const tensors = new Map<string, HostTensor>();
  for (const [name, tensor] of factors) {
    const match = /^(.+)\.lora_(A|B)\.weight$/.exec(name);
    if (!match)
      throw new RangeError(`"${name}" is not a factor of a LoRA: expected <layer>.lora_A.weight or lora_B`);
    const [, layer, factor] = match;
    if (layout === 'peft') {
      tensors.set(`${component}.${name}`, tensor);
    } else {
      const prefix = { unet: 'lora_unet', text_encoder: 'lora_te', text_encoder_2: 'lora_te2' }[component];
      const base = `${prefix}_${layer!.replaceAll('.', '_')}`;
      tensors.set(`${base}.${factor === 'A' ? 'lora_down' : 'lora_up'}.weight`, tensor);
      tensors.set(`${base}.alpha`, hostTensor(Float32Array.of(alpha), []));
    }
  }
  if (layout === 'kohya') return { tensors, metadata: { format: 'pt' } };
  const layers = [...factors.keys()].map((name) => name.replace(/\.lora_[AB]\.weight$/, ''));
  const config: Record<string, unknown> = {
    r: rank,
    lora_alpha: alpha,
    peft_type: 'LORA',
    target_modules: [...new Set(layers)].sort(),
  };
  const adapter = Object.fromEntries(
    Object.entries(config).map(([key, value]) => [`${component}.${key}`, value]),
  );
  return { tensors, metadata: { format: 'pt', lora_adapter_metadata: JSON.stringify(adapter, null, 2) } };
}

/** What diffusers keeps of peft's configuration, keys like `unet.lora_alpha`. */
function readAdapterMetadata(metadata: Readonly<Record<string, string>>, from: string) {
  const json = metadata.lora_adapter_metadata;
  const settings = json === undefined ? {} : (parseJson(json, `${from}, lora_adapter_metadata`) ?? {});
  if (!isJsonObject(settings)) throw new InputError(`${from}: lora_adapter_metadata must hold a JSON object`);
  for (const [key, value] of Object.entries(settings)) {
    if (/\.(use_dora|lora_bias|fan_in_fan_out)$/.test(key) && value === true) {
      throw new InputError(`${from}: ${key.split('.').pop()} is not supported`);
    }
  }
  return {
    /** Undefined when the file says nothing. */
    alphaOf(component: LoraComponent, layer: string): number | undefined {
      const patterns = settings[`${component}.alpha_pattern`];
      const pattern = Object.entries(patterns ?? {}).find(
        ([end]) => layer === end || layer.endsWith(`.${end}`),
      );
      const value = pattern ? pattern[1] : settings[`${component}.lora_alpha`];
      return typeof value === 'number' ? value : undefined;
    },
    rankStabilized: (component: LoraComponent) => settings[`${component}.use_rslora`] === true,
  };
}
