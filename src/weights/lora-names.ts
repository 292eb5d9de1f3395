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
  readonly layer: string;
  readonly part: LoraPart;
}

/** kohya: `lora_unet_mid_block_attentions_0_proj_in.lora_down.weight`. */
const KOHYA = /^lora_(unet|te|te1|te2)_(.+)\.(lora_down\.weight|lora_up\.weight|alpha)$/;
/** diffusers, from peft and from the time before it: `unet.mid_block.attentions.0.proj_in.lora_A.weight`. */
const DIFFUSERS =
  /^(unet|text_encoder|text_encoder_2)\.(.+?)\.((?:lora_A|lora_B|(?:lora|lora_linear_layer)\.(?:down|up))\.weight|alpha)$/;
/** diffusers before that: `unet.….attn1.processor.to_q_lora.down.weight`. */
const PROCESSOR =
  /^(unet|text_encoder|text_encoder_2)\.(.+?)\.(?:processor\.)?to_(q|k|v|out)_lora\.((?:down|up)\.weight)$/;

const COMPONENTS: Readonly<Record<string, LoraComponent>> = {
  unet: 'unet',
  te: 'text_encoder',
  te1: 'text_encoder',
  te2: 'text_encoder_2',
  text_encoder: 'text_encoder',
  text_encoder_2: 'text_encoder_2',
};

/** What a tensor is by its name; undefined for what is not LoRA in any of the layouts. */
export function parseLoraName(name: string): LoraTensorName | undefined {
  const processor = PROCESSOR.exec(name);
  if (processor) {
    const [, prefix, attention, projection, end] = processor;
    const component = COMPONENTS[prefix!]!;
    const inUNet = projection === 'out' ? 'to_out.0' : `to_${projection}`;
    const layer = component === 'unet' ? inUNet : `${projection}_proj`;
    return { component, layer: `${attention}.${layer}`, part: partOf(end!) };
  }
  const match = KOHYA.exec(name) ?? DIFFUSERS.exec(name);
  if (!match) return undefined;
  return { component: COMPONENTS[match[1]!]!, layer: match[2]!, part: partOf(match[3]!) };
}

function partOf(end: string): LoraPart {
  if (end === 'alpha') return 'alpha';
  return /lora_A|down/.test(end) ? 'down' : 'up';
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
