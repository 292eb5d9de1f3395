/**
 * The layers of LoRA files under the names of a model's parameters, with `_` for `.`, the form in which all layouts
 * can be compared (kohya's has nothing else).
 */

/** The networks that a LoRA may adapt, by their folders in a diffusers directory. */
export type LoraComponent = 'unet' | 'text_encoder' | 'text_encoder_2';

/** Which tensor of a layer: W + strength · alpha/rank · up · down. */
export type LoraPart = 'down' | 'up' | 'alpha';

export interface LoraTensorName {
  readonly component: LoraComponent;
  /** As the model calls it; in kohya's layout with `_` for `.`. */
  readonly layer: string;
  readonly part: LoraPart;
  /** What peft calls the adapter, where that is part of the name. */
  readonly adapter: string | undefined;
}

/**
 * What stands before a layer's name but for kohya's layout: the network in diffusers' files, and what peft wraps a model
 * in; or only that; or nothing where a network was saved by itself.
 */
const PREFIX = '^(?:(?<network>unet|text_encoder|text_encoder_2)\\.)?(?:base_model\\.model\\.)?';

const LAYOUTS: readonly RegExp[] = [
  // kohya: `lora_unet_mid_block_attentions_0_proj_in.lora_down.weight`.
  /^lora_(?<network>unet|te|te1|te2)_(?<layer>.+)\.(?:lora_(?<part>down|up)\.weight|(?<alpha>alpha))$/,
  // The first of diffusers: `unet.….attn1.processor.to_q_lora.down.weight`.
  new RegExp(
    `${PREFIX}(?<layer>.+?)\\.(?:processor\\.)?to_(?<projection>q|k|v|out)_lora\\.(?<part>down|up)\\.weight$`,
  ),
  // The next of diffusers: `unet.mid_block.attentions.0.proj_in.lora.down.weight`.
  new RegExp(`${PREFIX}(?<layer>.+?)\\.(?:lora|lora_linear_layer)\\.(?<part>down|up)\\.weight$`),
  // peft: `unet.mid_block.attentions.0.proj_in.lora_A.weight`, or with the adapter's name `….lora_A.default_0.weight`.
  new RegExp(`${PREFIX}(?<layer>.+?)\\.lora_(?<part>A|B)(?:\\.(?<adapter>[^.]+))?\\.weight$`),
  new RegExp(`${PREFIX}(?<layer>.+)\\.(?<alpha>alpha)$`),
];

const COMPONENTS: Readonly<Record<string, LoraComponent>> = {
  unet: 'unet',
  te: 'text_encoder',
  te1: 'text_encoder',
  te2: 'text_encoder_2',
  text_encoder: 'text_encoder',
  text_encoder_2: 'text_encoder_2',
};

/** What kohya's layout calls them. */
export const KOHYA_PREFIXES: Readonly<Record<LoraComponent, string>> = {
  unet: 'lora_unet',
  text_encoder: 'lora_te',
  text_encoder_2: 'lora_te2',
};

const PARTS: Readonly<Record<string, LoraPart>> = { A: 'down', B: 'up', down: 'down', up: 'up' };

/** What a tensor is by its name; undefined for what is not LoRA in any of the layouts. */
export function parseLoraName(name: string): LoraTensorName | undefined {
  for (const layout of LAYOUTS) {
    const { network, layer, projection, part, adapter } = layout.exec(name)?.groups ?? {};
    if (layer === undefined) continue;
    const component = network === undefined ? componentOf(layer) : COMPONENTS[network];
    return (
      component && {
        component,
        layer: projection === undefined ? layer : `${layer}.${projectionName(component, projection)}`,
        part: part === undefined ? 'alpha' : PARTS[part]!,
        adapter,
      }
    );
  }
  return undefined;
}

/** The network that a layer belongs to where nothing but its name says it. */
function componentOf(layer: string): LoraComponent | undefined {
  if (/^(conv_in|conv_out|time_embedding|add_embedding|down_blocks|mid_block|up_blocks)(\.|$)/.test(layer)) {
    return 'unet';
  }
  // Of two text encoders it is taken to be the first; the second has other sizes, so that it would not fit.
  return /^(text_model|encoder\.layers|text_projection)(\.|$)/.test(layer) ? 'text_encoder' : undefined;
}

function projectionName(component: LoraComponent, projection: string): string {
  if (component !== 'unet') return `${projection}_proj`;
  return projection === 'out' ? 'to_out.0' : `to_${projection}`;
}

/** Tensors of what is called LoRA as well, or comes in the same files, and cannot be used here. */
const OTHER_KINDS: readonly (readonly [name: RegExp, kind: string])[] = [
  [/\.dora_scale$|\.lora_magnitude_vector(\.|$)/, 'DoRA'],
  [/\.hada_/, 'LoHa'],
  [/\.lokr_/, 'LoKr'],
  [/\.lora_mid\./, 'a LoCon with a third factor'],
  [/\.oft_/, 'OFT'],
  [/\.lora_embedding_[AB](\.|$)/, 'a LoRA on an embedding'],
  [/\.(lora_[AB](\.[^.]+)?|lora\.(down|up)|lora_(down|up))\.bias$/, 'a LoRA with biases'],
  [/^bundle_emb\./, 'a textual inversion beside the LoRA'],
  [/^(transformer|diffusion_model|lora_transformer_)/, 'an adapter of a transformer such as SD 3 or FLUX'],
  [/^(base_model\.model\.|unet\.|text_encoder(_2)?\.).*\.(weight|bias)$/, 'a whole weight beside the LoRA'],
];

/** What the tensor belongs to, if it is a kind of adapter that is known and not supported. */
export function otherAdapter(name: string): string | undefined {
  return OTHER_KINDS.find(([pattern]) => pattern.test(name))?.[1];
}

/** By which a layer is found, whatever the layout. `text_model.` comes and goes with the version of transformers. */
export function layerKey(component: LoraComponent, layer: string): string {
  const key = layer.replaceAll('.', '_');
  if (component === 'unet') return fromOriginalName(key);
  return key.startsWith('encoder_') ? `text_model_${key}` : key;
}

const ORIGINAL_LAYERS: ReadonlyMap<string, string> = new Map([
  ['input_blocks_0_0', 'conv_in'],
  ['time_embed_0', 'time_embedding_linear_1'],
  ['time_embed_2', 'time_embedding_linear_2'],
  ['label_emb_0_0', 'add_embedding_linear_1'],
  ['label_emb_0_2', 'add_embedding_linear_2'],
  ['out_2', 'conv_out'],
]);

const ORIGINAL_RESNET_LAYERS: ReadonlyMap<string, string> = new Map([
  ['in_layers_2', 'conv1'],
  ['emb_layers_1', 'time_emb_proj'],
  ['out_layers_3', 'conv2'],
  ['skip_connection', 'conv_shortcut'],
]);

/**
 * Many LoRAs for SDXL name the UNet's layers as the original code does (`input_blocks_4_1_…`). Its blocks count on
 * through all levels; each level has two residual blocks and a downsampler on the way down, three on the way up, in
 * all Stable Diffusion models.
 */
function fromOriginalName(key: string): string {
  const match = /^(input_blocks|middle_block|output_blocks)_(\d+)_(.+)$/.exec(key);
  const single = ORIGINAL_LAYERS.get(key);
  if (!match || single !== undefined) return single ?? key;
  const [, side, number, rest] = match as unknown as [string, string, string, string];
  const index = Number(number);
  if (side === 'middle_block') {
    return index === 1
      ? `mid_block_attentions_0_${rest}`
      : `mid_block_resnets_${index / 2}_${resnetLayer(rest)}`;
  }
  const down = side === 'input_blocks';
  const position = down ? index - 1 : index;
  const block = `${down ? 'down' : 'up'}_blocks_${Math.floor(position / 3)}`;
  if (rest === '0_op') return `${block}_downsamplers_0_conv`;
  if (/^[12]_conv$/.test(rest)) return `${block}_upsamplers_0_conv`;
  const inner = rest.slice(2);
  return rest.startsWith('0_')
    ? `${block}_resnets_${position % 3}_${resnetLayer(inner)}`
    : `${block}_attentions_${position % 3}_${inner}`;
}

function resnetLayer(name: string): string {
  return ORIGINAL_RESNET_LAYERS.get(name) ?? name;
}
