/**
 * Tiny models with random weights under the names that the documentation uses, so that its commands can be run: every
 * layout that people have, each as small as it may be.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { convertModel } from '../../src/components/node/convert-model.ts';
import { diffusersFiles } from '../../src/components/node/diffusers-files.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import { type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import { elementCount } from '../../src/graph/shape.ts';
import type { PngText } from '../../src/images/png-text.ts';
import { createImage, encodePng, Generator } from '../../src/index.ts';
import { formatLora } from '../../src/weights/format-lora.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import { openModelFolder } from '../../src/weights/node/model-folder.ts';
import { writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { widened } from '../inpainting-unet.ts';
import { kohyaLora } from '../kohya-lora.ts';
import {
  type OriginalUNet,
  originalAutoencoder,
  originalClip,
  originalOpenClip,
  originalUNet,
  type Shapes,
} from '../weights/original-layout.ts';

const golden = fileURLToPath(new URL('../fixtures/golden', import.meta.url));
/**
 * A latent consistency model, a Stable Diffusion, an SDXL, a TAESD for any of them, an LCM-LoRA for the second, and the
 * UNet of an LCM for the third.
 */
export const models = {
  lcm: join(golden, 'pipelines/lcm/model'),
  sd: join(golden, 'pipelines/sd/model'),
  sdxl: join(golden, 'pipelines/sdxl/model'),
  taesd: join(golden, 'pipelines/sd/taesd'),
  lcmSdxlUNet: join(golden, 'pipelines/sdxl/unet_lcm'),
  lcmLora: join(golden, 'pipelines/sd/lcm_lora/pytorch_lora_weights.safetensors'),
};

/** Writes one thing to the path. */
export type StandIn = (path: string) => Promise<void>;

/** A folder with one file. */
export function folderOf(name: string, write: StandIn): StandIn {
  return async (path) => {
    mkdirSync(path, { recursive: true });
    await write(join(path, name));
  };
}

/** A folder of the fixtures, or one file of it. */
export function copyOf(source: string): StandIn {
  return async (path) => cpSync(source, path, { recursive: true });
}

const weightsFile = 'diffusion_pytorch_model.safetensors';

/** A diffusers directory with the files of the variant fp16, and, as many on the hub, the plain ones beside them. */
export function fp16Variant(source: string, { plain }: { plain: boolean }): StandIn {
  return async (path) => {
    await convertModel(await diffusersFiles(source), path, { dtype: 'float16' });
    for (const file of readdirSync(path, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.safetensors')) continue;
      renameSync(join(path, file), join(path, file.replace(/safetensors$/, 'fp16.safetensors')));
      if (plain) cpSync(join(source, file), join(path, file));
    }
  };
}

/** A diffusers directory whose UNet is in two shards with an index. */
export async function sharded(path: string): Promise<void> {
  cpSync(models.sdxl, path, { recursive: true });
  const folder = join(path, 'unet');
  const all = [...(await loadTensors((await openModelFolder(folder)).weights))];
  const shards = [all.slice(0, all.length / 2), all.slice(all.length / 2)];
  const map: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const name = `diffusion_pytorch_model-0000${i + 1}-of-00002.safetensors`;
    await writeSafetensors(join(folder, name), new Map(shard));
    for (const [weight] of shard) map[weight] = name;
  }
  const index = JSON.stringify({ metadata: {}, weight_map: map });
  writeFileSync(join(folder, `${weightsFile}.index.json`), index);
  rmSync(join(folder, weightsFile));
}

/** A diffusers directory with a UNet of nine channels. */
export async function inpaintingDirectory(path: string): Promise<void> {
  cpSync(models.sd, path, { recursive: true });
  edit(join(path, 'model_index.json'), { _class_name: 'StableDiffusionInpaintPipeline' });
  edit(join(path, 'unet/config.json'), { in_channels: 9 });
  const { weights, file } = await openModelFolder(join(models.sd, 'unet'));
  const tensors = await loadTensors(weights);
  tensors.set('conv_in.weight', widened(tensors.get('conv_in.weight')!, 0.5));
  await writeSafetensors(file.replace(models.sd, path), tensors);
}

function edit(path: string, changes: object): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changes }));
}

/** The number of tokens in the fixtures' tokenizers. */
const VOCABULARY = 1114;
const unet: OriginalUNet = {
  inChannels: 4,
  modelChannels: 64,
  channelMult: [1, 1],
  depths: [1, 0],
  midDepth: 1,
  contextDim: 64,
  linear: false,
};
const clip = (prefix: string) => originalClip(prefix, 64, 2);
const openClip = (prefix: string) => originalOpenClip(prefix, 64, 3);
const autoencoder = () => originalAutoencoder(32, [1, 1, 1, 1]);

/** Single-file checkpoints in the layout of the original code. */
export const checkpoints = {
  sd1: checkpoint(originalUNet(unet), autoencoder(), clip('cond_stage_model.transformer.')),
  sd1Inpainting: checkpoint(
    originalUNet({ ...unet, inChannels: 9 }),
    autoencoder(),
    clip('cond_stage_model.transformer.'),
  ),
  sd2: checkpoint(
    originalUNet({ ...unet, depths: [1, 1], linear: true }),
    autoencoder(),
    openClip('cond_stage_model.model.'),
  ),
  sdxl: checkpoint(
    originalUNet({
      ...unet,
      depths: [1, 1],
      linear: true,
      contextDim: 128,
      admInChannels: 6 * 8 + 64,
    }),
    autoencoder(),
    clip('conditioner.embedders.0.transformer.'),
    openClip('conditioner.embedders.1.model.'),
  ),
} as const;

/** An autoencoder alone, in the original layout. */
export const autoencoderFile: StandIn = async (path) => {
  const shapes = [...autoencoder()].map(([name, shape]) => [name.replace('first_stage_model.', ''), shape]);
  await writeSafetensors(path, randomTensors(new Map(shapes as [string, number[]][])));
};

function checkpoint(...parts: Shapes[]): StandIn {
  return (path) => writeSafetensors(path, randomTensors(new Map(parts.flatMap((part) => [...part]))));
}

/** Weights that keep the size of what goes through them. */
function randomTensors(shapes: Shapes): Map<string, HostTensor> {
  const random = new Generator(1);
  return new Map(
    [...shapes].map(([name, published]) => {
      const shape = published.map((size) => (size === 49408 ? VOCABULARY : size));
      const count = elementCount(shape);
      const spread = shape.length > 1 ? (count / shape[0]!) ** -0.5 : 0;
      const mean = shape.length === 1 && name.endsWith('.weight') ? 1 : 0;
      return [
        name,
        hostTensor(
          random.normal(count).map((value) => mean + spread * value),
          shape,
        ),
      ];
    }),
  );
}

/**
 * A LoRA for a few attention layers of a model, a diffusers directory or a single file. lcm-script: as diffusers' script
 * for LCM-LoRA writes it.
 */
export function lora(model: string, layout: 'peft' | 'kohya' | 'lcm-script'): StandIn {
  return async (path) => {
    const { weights } = await (await openModel(model)).network('unet');
    const layers = [...weights].filter(([name]) => /\.attn[12]\.to_[qv]\.weight$/.test(name)).slice(0, 4);
    const random = new Generator(2);
    const factors = new Map<string, HostTensor>();
    for (const [name, { shape }] of layers) {
      const layer = name.slice(0, -'.weight'.length);
      const [outputs, inputs] = shape as [number, number];
      factors.set(`${layer}.lora_A.weight`, hostTensor(random.normal(2 * inputs), [2, inputs]));
      factors.set(`${layer}.lora_B.weight`, hostTensor(random.normal(outputs * 2), [outputs, 2]));
    }
    const { tensors, metadata } = formatLora(factors, { rank: 2, alpha: 1 });
    mkdirSync(dirname(path), { recursive: true });
    if (layout === 'peft') return writeSafetensors(path, tensors, metadata);
    const wrapped = [...factors].map(([name, factor]) => [`unet.base_model.model.${name}`, factor] as const);
    await writeSafetensors(path, layout === 'kohya' ? kohyaLora(factors, { alpha: 1 }) : new Map(wrapped));
  };
}

/** A picture of 64×64 pixels. */
export function picture(colour: (x: number, y: number) => readonly number[], text: PngText = {}): StandIn {
  return async (path) => {
    const image = createImage(64, 64, 3);
    for (let i = 0; i < 64 * 64; i++) image.data.set(colour(i % 64, Math.floor(i / 64)), 3 * i);
    writeFileSync(path, await encodePng(image, text));
  };
}
