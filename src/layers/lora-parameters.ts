/**
 * Low-rank adaptation (Hu et al. 2021): weights W + (α/r)·B·A in which only A and B are trained. The model function
 * does not know; it asks for its weights as ever.
 */
import { add, matmul, multiply, reshape } from '../graph/operators/index.ts';
import type { Shape } from '../graph/shape.ts';
import { fanInInitializer, zerosInitializer } from './initializers.ts';
import { Params } from './params.ts';

/** Of which rank the additions are, what they count, and to which layers they are made. */
export interface LoraOptions {
  readonly rank: number;
  /** The additions count α/rank; without a reason for anything else, the rank. */
  readonly alpha: number;
  /** Ends of the names of the layers that are adapted. Default: those of diffusers' LCM-LoRA script. */
  readonly targets?: readonly string[];
}

/** Layers of a UNet that diffusers' train_lcm_distill_lora_sd_wds.py adapts. */
export const LCM_LORA_TARGETS = [
  'to_q',
  'to_k',
  'to_v',
  'to_out.0',
  'proj_in',
  'proj_out',
  'ff.net.0.proj',
  'ff.net.2',
  'conv1',
  'conv2',
  'conv_shortcut',
  'downsamplers.0.conv',
  'upsamplers.0.conv',
  'time_emb_proj',
] as const;

/** The projections of attention, which most ordinary LoRAs adapt, as diffusers' training scripts do. */
export const ATTENTION_TARGETS = ['to_q', 'to_k', 'to_v', 'to_out.0'] as const;

/**
 * Parameters for a model function: weights from `base`, with additions from `trained`, which declares
 * `<layer>.lora_A.weight` and `<layer>.lora_B.weight` as peft names and shapes them.
 *
 * ```ts
 * linear(loraParams(p.in('lora'), p.in('unet'), { rank: 4, alpha: 4 }).params.in('to_q'), input('x', [2, 32]), 32).shape; // [2, 32]
 * ```
 */
export function loraParams(
  trained: Params,
  base: Params,
  { rank, alpha, targets = LCM_LORA_TARGETS }: LoraOptions,
): { params: Params } {
  const params = new Params((name, shape, initializer) => {
    const weight = base.weight(name, shape, initializer);
    const layer = name.endsWith('.weight') ? name.slice(0, -'.weight'.length) : undefined;
    if (layer === undefined || shape.length < 2 || !targets.some((end) => isLayer(layer, end))) return weight;
    const [shapeA, shapeB] = factorShapes(shape, rank);
    const fanIn = shapeA.slice(1).reduce((product, size) => product * size, 1);
    const a = trained.weight(`${layer}.lora_A.weight`, shapeA, fanInInitializer(fanIn));
    const b = trained.weight(`${layer}.lora_B.weight`, shapeB, zerosInitializer);
    const product = matmul(reshape(b, [shape[0]!, rank]), reshape(a, [rank, fanIn]));
    return add(weight, multiply(reshape(product, shape), alpha / rank));
  });
  return { params };
}

function isLayer(layer: string, end: string): boolean {
  return layer === end || layer.endsWith(`.${end}`);
}

/** Linear [O, I]: A [r, I], B [O, r]. Convolution [O, I, kH, kW]: A has the kernel, B is 1×1. */
function factorShapes([out, ...rest]: Shape, rank: number): [Shape, Shape] {
  return [
    [rank, ...rest],
    [out!, rank, ...rest.slice(1).map(() => 1)],
  ];
}
