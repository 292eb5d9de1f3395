import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readEmbeddedText } from '../../images/embedded-text.ts';
import { pictureText } from '../picture-text.ts';
import { readForeignSettings } from './read.ts';

const folder = fileURLToPath(new URL('../../../tests/fixtures/pictures/settings/', import.meta.url));
const read = async (name: string) =>
  readForeignSettings(await readEmbeddedText(new Uint8Array(readFileSync(folder + name))));

describe('Automatic1111', () => {
  const parse = (fields: string, prompt = 'a fox') =>
    readForeignSettings({ parameters: `${prompt}\n${fields}` });
  const line = (more: string) =>
    parse(`Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x64, ${more}`);

  it('says what means the same here, and what does not', async () => {
    expect(await read('automatic1111.jpg')).toEqual({
      program: 'Automatic1111',
      prompt: 'a red fox in the snow, 雪, \nby the sea',
      negativePrompt: 'blurry, text',
      steps: 20,
      guidanceScale: 6.5,
      seed: 1234567890,
      width: 64,
      height: 72,
      scheduler: 'dpm++-karras',
      clipSkip: 1,
      model: 'v1-5-pruned-emaonly',
      vae: 'vae-ft-mse-840000-ema-pruned.safetensors',
      loras: [{ kind: 'lora', name: 'pixel-art', strength: 0.8 }],
      leftOut: ['weights in the prompt', 'ADetailer model face_yolov8n.pt'],
    });
  });

  it.each([
    ['Euler a', undefined, 'euler-a', []],
    ['LCM', 'Automatic', 'lcm', []],
    ['DPM++ 2M', 'Automatic', 'dpm++-karras', []],
    ['DPM++ 2M', undefined, 'dpm++', []],
    ['DPM++ 2M Karras', undefined, 'dpm++-karras', []],
    ['DPM++ 2M', 'Uniform', 'dpm++', []],
    ['DPM++ 2M SDE', 'Automatic', 'dpm++-sde', ['Schedule type Exponential']],
    ['Euler', 'Karras', 'euler', ['Schedule type Karras']],
    ['DPM++ SDE Karras', undefined, 'dpm++-2s-sde', ['Schedule type Karras']],
    ['Restart', undefined, undefined, ['Sampler Restart']],
  ])('knows the sampler %s, %s as %s', (sampler, type, scheduler, leftOut) => {
    const schedule = type === undefined ? '' : `Schedule type: ${type}, `;
    const found = parse(`Steps: 20, Sampler: ${sampler}, ${schedule}CFG scale: 7, Seed: 5`);
    expect([found?.scheduler, found?.leftOut]).toEqual([scheduler, leftOut]);
  });

  it('leaves out a second, larger pass with its strength, and takes that of image to image', () => {
    expect(line('Denoising strength: 0.4, Hires upscale: 2, Hires upscaler: Latent')).toMatchObject({
      leftOut: ['hires'],
    });
    expect(line('Denoising strength: 0.4, Hires upscale: 2')).not.toHaveProperty('strength');
    expect(line('Denoising strength: 0.4')).toMatchObject({ strength: 0.4, leftOut: [] });
  });

  it('draws a seed where −1 stands, and leaves out what no request can have', () => {
    const found = parse('Steps: 0, Sampler: LCM, CFG scale: many, Seed: -1, Size: large');
    expect(found).toMatchObject({ leftOut: ['Steps 0', 'CFG scale many', 'Size large'] });
    for (const name of ['seed', 'steps', 'guidanceScale', 'width']) expect(found).not.toHaveProperty(name);
  });

  it('reads quoted values, lines after the fields and prompts that look like fields', () => {
    const found = readForeignSettings({
      parameters:
        'Steps: a staircase\nSeed: x\nNegative prompt: blurry\nmore\nSteps: 4, Sampler: LCM, CFG scale: 1, Seed: 7, Lora hashes: "a: 1, Seed: 9", Wildcard prompt: "one, \\"two\\""\nTemplate: x',
    });
    expect(found).toMatchObject({
      prompt: 'Steps: a staircase\nSeed: x',
      negativePrompt: 'blurry\nmore',
      steps: 4,
      seed: 7,
      leftOut: ['Wildcard prompt one, "two"'],
    });
  });

  it('reads what is written here as it was', () => {
    const settings = {
      model: 'models/sd15',
      prompt: 'a (red) fox, [x] <lora:y:1> AND\nmore',
      negativePrompt: '\\(blurry\\)',
      seed: 7,
      steps: 4,
      guidanceScale: 8.5,
      guidanceRescale: 0,
      scheduler: 'euler' as const,
      width: 96,
      height: 64,
      clipSkip: 1,
      version: '1.2.3',
      engine: 'onnxruntime-node/cpu',
    };
    const { parameters } = pictureText(settings);
    const { prompt, negativePrompt, seed, steps, guidanceScale, scheduler, width, height, clipSkip } =
      settings;
    expect(readForeignSettings({ parameters: parameters! })).toEqual({
      program: 'Automatic1111',
      prompt,
      negativePrompt,
      seed,
      steps,
      guidanceScale,
      scheduler,
      width,
      height,
      clipSkip,
      model: 'sd15',
      loras: [],
      leftOut: [],
    });
  });

  it.each(['a fox', '', 'Steps: 4', '{"prompt": 1}'])('knows that %j are no settings', (parameters) => {
    expect(readForeignSettings({ parameters })).toBeUndefined();
  });

  it.each([
    ['words', `a fox\nSteps: 4, Sampler: LCM, Seed: 7, ${'word '.repeat(2e5)}`],
    ['brackets', `${'['.repeat(2e5)}${'|'.repeat(2e5)}\nSteps: 4, Sampler: LCM, Seed: 7`],
    ['quotes', `a fox\nSteps: 4, Sampler: LCM, Seed: 7, ${'"'.repeat(2e5)}`],
  ])('takes long texts of %s without looking at them again and again', (_, parameters) => {
    expect(readForeignSettings({ parameters })).toBeDefined();
  });
});

describe('ComfyUI', () => {
  // Without the chunks of the file around it, and what Python writes that JSON does not know.
  const json = /prompt\0(\{.*\}).{8}tEXtworkflow/s.exec(readFileSync(`${folder}comfyui.png`, 'latin1'));
  const graph = JSON.parse(json![1]!.replace('NaN', '0'));
  const edited = (changes: object) =>
    readForeignSettings({ prompt: JSON.stringify({ ...graph, ...changes }) });
  const sampler = (inputs: object) => ({ ...graph[3], inputs: { ...graph[3].inputs, ...inputs } });

  it('is read from the sampler upwards', async () => {
    expect(await read('comfyui.webp')).toEqual({
      program: 'ComfyUI',
      prompt: 'a red fox (animal), 雪',
      negativePrompt: 'blurry',
      steps: 6,
      // The lower half of a seed of 64 bits.
      guidanceScale: 1.5,
      seed: 2 ** 32 - 59,
      width: 64,
      height: 72,
      scheduler: 'lcm',
      clipSkip: 1,
      model: 'dreamshaper_8.safetensors',
      loras: [{ name: 'lcm-lora-sdv1-5.safetensors', strength: 1 }],
      leftOut: ['ModelSamplingDiscrete', 'weights in the prompt', 'scheduler sgm_uniform'],
    });
  });

  it('may begin with a picture, and go on with another sampler', () => {
    const found = edited({
      3: sampler({ latent_image: ['20', 0], denoise: 0.6, sampler_name: 'dpmpp_2m', scheduler: 'karras' }),
      20: { class_type: 'VAEEncode', inputs: { pixels: ['21', 0], vae: ['4', 2] } },
      21: { class_type: 'LoadImage', inputs: { image: 'sketch.png' } },
      30: sampler({ latent_image: ['31', 0] }),
      31: { class_type: 'LatentUpscale', inputs: { samples: ['3', 0] } },
    });
    expect(found).toMatchObject({ strength: 0.6, image: 'sketch.png', scheduler: 'dpm++-karras' });
    expect(found?.leftOut).toContain('all of 2 samplers but the first');
    expect(found).not.toHaveProperty('width');
  });

  it('may hold values in nodes of their own, and its sampler in parts', () => {
    const { positive, latent_image } = graph[3].inputs;
    const found = edited({
      3: {
        class_type: 'SamplerCustomAdvanced',
        inputs: { noise: ['40', 0], guider: ['41', 0], sampler: ['42', 0], sigmas: ['43', 0], latent_image },
      },
      40: { class_type: 'RandomNoise', inputs: { noise_seed: ['44', 0] } },
      41: { class_type: 'BasicGuider', inputs: { model: ['4', 0], conditioning: positive } },
      42: { class_type: 'KSamplerSelect', inputs: { sampler_name: 'euler' } },
      43: {
        class_type: 'BasicScheduler',
        inputs: { scheduler: 'normal', steps: 9, denoise: 1, model: ['4', 0] },
      },
      44: { class_type: 'PrimitiveInt', inputs: { value: 77 } },
      6: { class_type: 'CLIPTextEncode', inputs: { text: ['45', 0], clip: ['4', 1] } },
      45: { class_type: 'String', inputs: { string: 'a hen' } },
    });
    expect(found).toMatchObject({
      prompt: 'a hen',
      seed: 77,
      steps: 9,
      scheduler: 'euler',
      model: 'dreamshaper_8.safetensors',
      loras: [],
      leftOut: [],
    });
    expect(found).not.toHaveProperty('clipSkip');
  });

  it('may go in circles, be something else, or damaged', () => {
    const circle = edited({
      6: { class_type: 'CLIPTextEncode', inputs: { text: ['6', 0], clip: ['12', 0] } },
      11: { class_type: 'A', inputs: { model: ['11', 0] } },
      5: { class_type: 'B', inputs: { samples: ['5', 0] } },
    });
    expect(circle).toMatchObject({ prompt: '' });
    expect(readForeignSettings({ prompt: 'a fox' })).toBeUndefined();
    expect(
      readForeignSettings({ prompt: '{"1": {"class_type": "LoadImage", "inputs": {}}, "2": null}' }),
    ).toBeUndefined();
    expect(() => readForeignSettings({ prompt: '{"1": ' })).toThrow(/the picture's "prompt" text/);
  });
});
