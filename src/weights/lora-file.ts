/**
 * LoRA files in the layouts that are about: peft's (`<layer>.lora_A.weight`, with alpha in a configuration), which diffusers
 * saves as well, kohya's (`lora_unet_<layer with _>.lora_down.weight`, alpha as a tensor), in which LCM-LoRA was published,
 * and diffusers' own of earlier times.
 */
import { InputError } from '../errors.ts';
import { parseJsonObject } from '../files/json.ts';
import { elementCount, formatShape } from '../graph/shape.ts';
import { brief, listed } from '../messages.ts';
import { isFloat } from './convert.ts';
import { type LoraComponent, type LoraPart, layerKey, otherAdapter, parseLoraName } from './lora-names.ts';
import { type AdapterConfig, readNetworkSettings } from './lora-settings.ts';
import { isConsistencyLora } from './lora-title.ts';
import { integerIn } from './stored-integer.ts';
import type { Weight, Weights } from './weights.ts';

export type { LoraComponent } from './lora-names.ts';

/** As diffusers calls it in a folder. */
export const LORA_FILE_NAME = 'pytorch_lora_weights.safetensors';
/** As peft calls it, and what it writes beside it. */
export const ADAPTER_FILE_NAME = 'adapter_model.safetensors';
export const ADAPTER_CONFIG_NAME = 'adapter_config.json';

/** The names of a layer's tensors: W + strength · alpha/rank · up · down. */
export interface LoraLayer {
  readonly down: string;
  readonly up: string;
  /** A tensor's name, a number, or undefined where it equals the rank. */
  readonly alpha: string | number | undefined;
  /** Rank-stabilised (Kalajdzievski 2023): alpha/√rank in place of alpha/rank. */
  readonly rankStabilized: boolean;
}

/** A LoRA that was opened: its layers by component, and its weights, not read yet. */
export interface Lora {
  /** For messages: the file. */
  readonly from: string;
  /** Whether it is an LCM-LoRA: see `isConsistencyLora`. */
  readonly isConsistency: boolean;
  readonly weights: Weights;
  /** By the layer's name with `_` for `.`, the form in which both layouts agree. */
  readonly layers: Readonly<Record<LoraComponent, ReadonlyMap<string, LoraLayer>>>;
  /** What whoever uses it should know: above all what was meant to have an effect and has none. A sentence each. */
  readonly warnings: readonly string[];
}

/** What is known of a LoRA beside its file. */
export interface ReadLoraOptions {
  /** Replaces what the file says. */
  readonly alpha?: number | undefined;
  /** peft's configuration from beside the file. What the file itself says of that comes first. */
  readonly adapterConfig?: AdapterConfig | undefined;
}

interface FoundLayer {
  /** The tensors' names. */
  readonly tensors: Partial<Record<LoraPart, string>>;
  readonly name: string;
}

/** Whether a tensor has to be in memory for `readLora`: alphas that are integers. All others may lie in a file. */
export function isIntegerAlpha(name: string, { dtype }: Weight): boolean {
  return !isFloat(dtype) && parseLoraName(name)?.part === 'alpha';
}

/**
 * Finds the layers in a safetensors file's weights and metadata. Where nothing says what alpha is, it is the rank. Throws
 * InputError, naming the file and the tensor or the field, for anything that is not plain LoRA.
 */
export function readLora(
  weights: Weights,
  metadata: Readonly<Record<string, string>>,
  from: string,
  { alpha, adapterConfig }: ReadLoraOptions = {},
): Lora {
  const config = configIn(metadata, from) ?? adapterConfig;
  if (weights.size === 0) throw new InputError(`${from} holds no tensors, so no LoRA`, { path: from });
  const found = findLayers(weights, from);
  const warnings: string[] = [];
  const layersOf = (component: LoraComponent) => {
    const read = readLayers([...found[component]], component, { weights, from, config, alpha });
    warnings.push(...read.warnings);
    return read.layers;
  };
  const layers = {
    unet: layersOf('unet'),
    text_encoder: layersOf('text_encoder'),
    text_encoder_2: layersOf('text_encoder_2'),
  };
  return { from, isConsistency: isConsistencyLora(from, metadata), weights, layers, warnings };
}

interface ReadLayersOptions extends Pick<Lora, 'weights' | 'from'>, Pick<ReadLoraOptions, 'alpha'> {
  readonly config: AdapterConfig | undefined;
}

/** The layers of one network with their alphas. found: by `layerKey`. */
function readLayers(
  found: readonly (readonly [key: string, layer: FoundLayer])[],
  component: LoraComponent,
  { weights, from, config, alpha }: ReadLayersOptions,
): { layers: Map<string, LoraLayer>; warnings: readonly string[] } {
  if (found.length === 0) return { layers: new Map(), warnings: [] };
  const names = found.map(([, { name }]) => name);
  const settings = config && readNetworkSettings(config, component, names);
  const layers = new Map<string, LoraLayer>();
  const otherRanks: string[] = [];
  for (const [key, { name, tensors }] of found) {
    const { down, up } = tensors;
    if (down === undefined || up === undefined) {
      throw new InputError(
        `${from}: the layer ${brief(name)} has only one of its two factors; the file is damaged`,
        { path: from, code: 'damaged' },
      );
    }
    const rank = settings?.ranks.get(name);
    if (rank !== undefined && rank !== weights.get(down)!.shape[0]) otherRanks.push(name);
    const stated =
      tensors.alpha === undefined ? settings?.alphas.get(name) : storedAlpha(weights, tensors.alpha, from);
    const rankStabilized = settings?.rankStabilized ?? false;
    layers.set(key, { down, up, alpha: alpha ?? stated, rankStabilized });
  }
  const warnings = [...(settings?.warnings ?? [])];
  if (otherRanks.length > 0) {
    warnings.push(
      `${config?.from} says another rank than the tensors have, which counts, for ${listed(otherRanks)} of the ${component}`,
    );
  }
  return { layers, warnings };
}

/**
 * The value of an alpha that is an integer, as diffusers' scripts write them, because graphs compute with none; the name
 * of one that is not.
 */
function storedAlpha(weights: Weights, name: string, from: string): number | string {
  const { dtype, shape, storage } = weights.get(name)!;
  if (elementCount(shape) !== 1) {
    throw new InputError(
      `${from}: "${brief(name)}" has the shape ${formatShape(shape)}; expected one number`,
      { path: from },
    );
  }
  if (isFloat(dtype)) return name;
  if (storage.kind === 'source') throw new RangeError(`${name} is an integer and has to be read before`);
  const value = integerIn(dtype, storage.bytes);
  if (value !== undefined) return value;
  throw new InputError(`${from}: "${brief(name)}" is stored as ${dtype}; expected a number`, { path: from });
}

/** The tensors of each layer, by network and by `layerKey`. */
function findLayers(weights: Weights, from: string): Record<LoraComponent, Map<string, FoundLayer>> {
  const found: Record<LoraComponent, Map<string, FoundLayer>> = {
    unet: new Map(),
    text_encoder: new Map(),
    text_encoder_2: new Map(),
  };
  const adapters = new Set<string | undefined>();
  for (const [name, { dtype }] of weights) {
    const parsed = parseLoraName(name);
    if (!parsed) {
      const kind = otherAdapter(name);
      throw new InputError(
        kind === undefined
          ? `${from}: "${brief(name)}" is not LoRA as peft (….lora_A.weight) or kohya (lora_unet_….lora_down.weight) write it; other kinds of adapters are not supported`
          : `${from}: "${brief(name)}" belongs to ${kind}, which is not supported`,
        { path: from, code: 'unsupported' },
      );
    }
    const { component, layer, part, adapter } = parsed;
    if (part !== 'alpha') {
      adapters.add(adapter);
      if (!isFloat(dtype)) {
        throw new InputError(
          `${from}: "${brief(name)}" is stored as ${dtype}; quantised LoRAs are not supported, use float32, float16 or bfloat16`,
          { path: from, code: 'unsupported' },
        );
      }
    }
    if (adapters.size > 1) {
      throw new InputError(
        `${from} holds several adapters (${listed([...adapters].map((each) => each ?? 'one without a name'))}); save each to a file of its own`,
        { path: from },
      );
    }
    const key = layerKey(component, layer);
    const known = found[component].get(key);
    if (known?.tensors[part] !== undefined) {
      throw new InputError(
        `${from}: "${brief(known.tensors[part])}" and "${brief(name)}" are the same factor of one layer`,
        { path: from },
      );
    }
    found[component].set(key, { name: known?.name ?? layer, tensors: { ...known?.tensors, [part]: name } });
  }
  return found;
}

/** What diffusers keeps of peft's configuration in a file. */
function configIn(metadata: Readonly<Record<string, string>>, file: string): AdapterConfig | undefined {
  const text = metadata.lora_adapter_metadata;
  if (text === undefined) return undefined;
  const from = `${file}, lora_adapter_metadata`;
  return { from, json: parseJsonObject(text, from) };
}
