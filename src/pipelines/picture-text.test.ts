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

it('reads back what it wrote', () => {
  expect(readPictureSettings(pictureText(settings))).toEqual(settings);
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
    ...{
      prompt: settings.prompt,
      negativePrompt: '',
      seed: 7,
      steps: 4,
      guidanceScale: 8.5,
      guidanceRescale: 0,
    },
    ...{
      scheduler: 'dpm++-karras',
      width: 96,
      height: 64,
      clipSkip: 1,
      strength: 0.5,
      timesteps: [500, 100],
    },
    ...{ originalSize: [9, 8], cropTopLeft: [1, 2], targetSize: [7, 6] },
  });
});

it.each([{ steps: '4' }, { scheduler: 'magic' }, { timesteps: [1, 'x'] }, { model: null }, { timeIds: [1] }])(
  'refuses settings with %j',
  (wrong) => {
    const text = { 'latent-consistency': JSON.stringify({ ...settings, ...wrong }) };
    const name = Object.keys(wrong)[0]!;
    expect(() => readPictureSettings(text)).toThrow(new RegExp(`says ${name} .*, which is no such value`));
  },
);
