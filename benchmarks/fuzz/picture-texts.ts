/** The settings that pictures carry, as `--from` restores them: our JSON, and what other programs write. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { optionsFromPicture } from '../../src/cli/options/picture.ts';
import { createImage } from '../../src/images/image.ts';
import { encodePng } from '../../src/images/png.ts';
import { damagedBytes, damagedJsonText, damagedText, jsonText } from './damage.ts';
import { FIXTURES, type Kind } from './kind.ts';
import type { Random } from './random.ts';

const OWN = jsonText({
  model: 'postcards',
  prompt: 'a fox',
  negativePrompt: 'rain',
  seed: 7,
  steps: 4,
  guidanceScale: 1.5,
  guidanceRescale: 0,
  scheduler: 'lcm',
  width: 64,
  height: 64,
  clipSkip: 0,
  eta: 0,
  timesteps: [999, 499],
  originalSteps: 50,
  strength: 0.5,
  tileSize: 64,
  timeIds: [64, 64, 0, 0, 64, 64],
  version: '0.1.0',
  engine: 'onnxruntime-node/cpu',
  modelFingerprint: 'abc',
  vae: { path: 'vae', sha256: 'abc' },
  loras: [{ path: 'a.safetensors', strength: 0.5, sha256: 'abc', dataSha256: 'abc' }],
});

const AUTOMATIC1111 = `a fox, (masterpiece:1.2), [blue|red], BREAK <lora:style:0.8>, \\(round\\)
Negative prompt: rain, (blur:1.5)
Steps: 20, Sampler: DPM++ 2M Karras, Schedule type: Karras, CFG scale: 7.5, Seed: 1234567890, Size: 64x64, Model hash: 6ce0161689, Model: sd15, VAE: vae-ft-mse, Denoising strength: 0.4, Clip skip: 2, ENSD: 31337, Lora hashes: "style: 1a2b3c, other: 4d5e6f", Hires upscale: 2, Version: v1.9.3`;

const COMFYUI = jsonText({
  3: {
    class_type: 'KSampler',
    inputs: {
      seed: 42,
      steps: 20,
      cfg: 7,
      sampler_name: 'dpmpp_2m',
      scheduler: 'karras',
      denoise: 1,
      model: ['10', 0],
      positive: ['6', 0],
      negative: ['7', 0],
      latent_image: ['5', 0],
    },
  },
  4: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'sd15.safetensors' } },
  5: { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
  6: { class_type: 'CLIPTextEncode', inputs: { text: 'a fox', clip: ['10', 1] } },
  7: { class_type: 'CLIPTextEncode', inputs: { text: 'rain', clip: ['10', 1] } },
  8: { class_type: 'VAEDecode', inputs: { samples: ['3', 0], vae: ['4', 2] } },
  9: { class_type: 'SaveImage', inputs: { filename_prefix: 'x', images: ['8', 0] } },
  10: {
    class_type: 'LoraLoader',
    inputs: {
      lora_name: 'a.safetensors',
      strength_model: 1,
      strength_clip: 1,
      model: ['4', 0],
      clip: ['4', 1],
    },
  },
});

export const pictureTexts: Kind = {
  name: 'texts of pictures',
  async make(random, folder) {
    const { ending, file } = await withTexts(random);
    const path = join(folder, `p.${ending}`);
    await writeFile(path, file);
    const given = random.pick([
      [],
      ['model'],
      ['model', 'vae', 'lora'],
      ['scheduler', 'steps', 'model', 'image'],
    ]);
    return {
      names: [path],
      async use() {
        await optionsFromPicture(path, (name) => given.includes(name));
        return 'read';
      },
    };
  },
};

async function withTexts(random: Random): Promise<{ ending: string; file: Uint8Array }> {
  const folder = join(FIXTURES, 'pictures', 'settings');
  const names = await readdir(folder).catch((): string[] => []);
  if (names.length > 0 && random.chance(0.3)) {
    const name = random.pick(names.sort());
    const file = await readFile(join(folder, name));
    return { ending: name.split('.').at(-1)!, file: random.chance(0.1) ? file : damagedBytes(file, random) };
  }
  const image = createImage(4, 4, 3);
  const [keyword, text] = random.pick([
    ['latent-consistency', random.chance(0.05) ? OWN : damagedJsonText(OWN, random)],
    ['parameters', random.chance(0.05) ? AUTOMATIC1111 : damagedText(AUTOMATIC1111, random)],
    ['prompt', random.chance(0.05) ? COMFYUI : damagedJsonText(COMFYUI, random)],
  ]);
  try {
    return { ending: 'png', file: await encodePng(image, { [keyword]: text }) };
  } catch {
    // Not every text can stand in a PNG file.
    return { ending: 'png', file: damagedBytes(await encodePng(image, { [keyword]: OWN }), random) };
  }
}
