import { expect, it } from 'vitest';
import { type PictureSettings, pictureRequest, pictureText, readPictureSettings } from './picture-text.ts';

const settings: PictureSettings = {
  model: 'models/my, model',
  prompt: 'a fox, "red"\nin the snow ❄',
  negativePrompt: '',
  seed: 7,
  steps: 4,
  guidanceScale: 8.5,
  guidanceRescale: 0,
  scheduler: 'dpm++-karras',
  width: 96,
  height: 64,
  clipSkip: 1,
  version: '1.2.3',
  engine: 'onnxruntime-node/cpu',
};

it('writes what Automatic1111 reads', () => {
  expect(pictureText(settings).parameters).toBe(
    'a fox, "red"\nin the snow ❄\nSteps: 4, Sampler: DPM++ 2M Karras, CFG scale: 8.5, Seed: 7, Size: 96x64, ' +
      'Model: my  model, Clip skip: 2, Version: latent-consistency 1.2.3',
  );
  expect(pictureText({ ...settings, negativePrompt: 'blurry' }).parameters).toContain(
    '\nNegative prompt: blurry\nSteps: ',
  );
});

it('writes prompts that Automatic1111 reads as words, and keeps them exact for itself', () => {
  const prompt = 'a (red:1.2) fox <lora:x:1> AND [snow]';
  const loras = [{ path: 'y.safetensors', strength: 0.5, sha256: 'aa', dataSha256: '0123456789ab' }];
  const text = pictureText({ ...settings, prompt, negativePrompt: '((blurry))', loras });
  expect(text.parameters!.split('\n').slice(0, 2)).toEqual([
    'a \\(red:1.2\\) fox <lora\\:x:1> A\\ND \\[snow\\] <lora:y:0.5>',
    'Negative prompt: \\(\\(blurry\\)\\)',
  ]);
  expect(readPictureSettings(text)?.prompt).toBe(prompt);
});

const drawnWith = {
  modelFingerprint: '0123456789abcdef',
  unet: { path: 'a/lcm-sdxl', fingerprint: 'fedcba9876543210' },
  vae: { path: 'vae/better.safetensors', sha256: '1234567890abcdef' },
  loras: [
    { path: 'style.safetensors', strength: 0.8, sha256: 'aa', dataSha256: '0123456789abcdef' },
    { path: 'lcm, "new"', strength: 1, sha256: 'bb', dataSha256: 'fedcba9876543210' },
  ],
  tokenizer: 'clip',
  config: 'sd15',
  predictionType: 'v_prediction',
} as const;

it('names LoRAs and the autoencoder as Automatic1111 does, and another UNet', () => {
  expect(pictureText({ ...settings, prompt: 'a fox', ...drawnWith }).parameters).toBe(
    'a fox <lora:style:0.8> <lora:lcm   new :1>\nSteps: 4, Sampler: DPM++ 2M Karras, CFG scale: 8.5, Seed: 7, ' +
      'Size: 96x64, Model: my  model, UNet: lcm-sdxl, VAE hash: 1234567890, VAE: better.safetensors, Clip skip: 2, ' +
      'Lora hashes: "style: 0123456789ab, lcm   new : fedcba987654", Version: latent-consistency 1.2.3',
  );
});

it('reads back what it wrote', () => {
  const all = { ...settings, ...drawnWith };
  expect(readPictureSettings(pictureText(settings))).toEqual(settings);
  expect(readPictureSettings(pictureText(all))).toEqual(all);
  expect(pictureRequest(all)).toEqual(pictureRequest(settings));
  expect(readPictureSettings({ parameters: 'a fox' })).toBeUndefined();
});

it.each(['{', 'null', '[]', '{"prompt": 3, "seed": 7}', '{"prompt": "x"}'])(
  'refuses the damaged text %s',
  (text) => {
    expect(() => readPictureSettings({ 'latent-consistency': text })).toThrow(
      /the picture's "latent-consistency" text/,
    );
  },
);

it('makes the request again, without what surrounded it', () => {
  const made = {
    ...settings,
    image: 'a.png',
    strength: 0.5,
    timesteps: [500, 100],
    timeIds: [9, 8, 1, 2, 7, 6],
  };
  expect(pictureRequest(made)).toEqual({
    prompt: settings.prompt,
    negativePrompt: '',
    seed: 7,
    steps: 4,
    guidanceScale: 8.5,
    guidanceRescale: 0,
    scheduler: 'dpm++-karras',
    width: 96,
    height: 64,
    clipSkip: 1,
    strength: 0.5,
    timesteps: [500, 100],
    originalSize: [9, 8],
    cropTopLeft: [1, 2],
    targetSize: [7, 6],
  });
});

it.each([
  ...[{ steps: '4' }, { scheduler: 'magic' }, { timesteps: [1, 'x'] }, { model: null }, { timeIds: [1] }],
  ...[{ vae: 'x' }, { loras: [null] }, { loras: [{ path: 'x', sha256: 'y', dataSha256: 'z' }] }],
  ...[{ predictionType: 'flow' }, { unet: 'x' }, { unet: { path: 'x', sha256: 'y' } }],
])('refuses settings with %j', (wrong) => {
  const text = { 'latent-consistency': JSON.stringify({ ...settings, ...wrong }) };
  const name = Object.keys(wrong)[0]!;
  expect(() => readPictureSettings(text)).toThrow(new RegExp(`says ${name} .*, which is no such value`));
});
