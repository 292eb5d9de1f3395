/** What programs are told of errors beside their text: where it is, what kind it is of, and which setting. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { flagOf } from '../src/cli/options/flag-names.ts';
import type { GenerationRequest } from '../src/index.ts';
import {
  InputError,
  type LoadOptions,
  loadPipeline,
  openImage,
  openLora,
  pullModel,
  SettingError,
  UsageError,
} from '../src/index.ts';
import { autoencoderTraining, plan } from '../src/training.ts';

const golden = fileURLToPath(new URL('fixtures/golden', import.meta.url));
const sd = join(golden, 'pipelines/sd/model');

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
/** A copy of a small model in which one file is changed. */
function model(name: string, file: string, change: (path: string) => void): string {
  cpSync(sd, at(name), { recursive: true });
  change(at(name, file));
  return at(name);
}
const write = (text: string) => (path: string) => writeFileSync(path, text);
const cutOff = (path: string) => truncateSync(path, 1000);
const without = (path: string) => rmSync(path, { recursive: true });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'error-fields-'));
  vi.stubEnv('HF_HUB_CACHE', at('cache'));
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  writeFileSync(at('text.png'), 'not a picture');
  writeFileSync(at('pickle.ckpt'), '');
  writeFileSync(at('cut.safetensors'), new Uint8Array(4));
  mkdirSync(at('empty'));
  mkdirSync(at('pictures'));
  writeFileSync(at('pictures/a.png'), 'not a picture');
  writeFileSync(at('pictures/metadata.jsonl'), '{"file_name": "b.png", "text": "b"}');
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

async function failure(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

const load = (path: string, options?: LoadOptions) => loadPipeline(path, { threads: 1, ...options });
const folderOf = (path: string) => ({ data: { kind: 'folder', path: at(path), resolution: 16 } });

/** What is tried, the place that it fails at, and as what. */
const places: readonly (readonly [what: string, () => unknown, place: () => string, code: string])[] = [
  ['a model that is not there', () => load(at('none')), () => at('none'), 'not-found'],
  ['a folder that is no model', () => load(at('empty')), () => at('empty'), 'not-found'],
  ['a model that was not downloaded', () => load('some/one'), () => 'some/one', 'not-downloaded'],
  ['a download while offline', () => pullModel('some/one'), () => 'some/one', 'not-downloaded'],
  ['a pickle', () => load(at('pickle.ckpt')), () => at('pickle.ckpt'), 'unsupported'],
  ['a cut off checkpoint', () => load(at('cut.safetensors')), () => at('cut.safetensors'), 'damaged'],
  [
    'a config that is no JSON',
    () => load(model('json', 'unet/config.json', write('{'))),
    () => at('json/unet/config.json'),
    'damaged',
  ],
  [
    'a config with a wrong number',
    () =>
      load(
        model(
          'number',
          'unet/config.json',
          write('{"_class_name": "UNet2DConditionModel", "in_channels": -1}'),
        ),
      ),
    () => at('number/unet'),
    'invalid-input',
  ],
  [
    'a scheduler that is not known',
    () => load(model('scheduler', 'scheduler/scheduler_config.json', write('{"prediction_type": "none"}'))),
    () => at('scheduler/scheduler'),
    'unsupported',
  ],
  [
    'weights that are cut off',
    () => load(model('weights', 'unet/diffusion_pytorch_model.safetensors', cutOff)),
    () => at('weights/unet/diffusion_pytorch_model.safetensors'),
    'damaged',
  ],
  [
    'a model without its UNet',
    () => load(model('without', 'unet', without)),
    () => at('without/unet'),
    'not-found',
  ],
  [
    'a tokenizer without its vocabulary',
    () => load(model('vocabulary', 'tokenizer/tokenizer.json', without)),
    () => at('vocabulary/tokenizer'),
    'invalid-input',
  ],
  ['a LoRA that is not there', () => openLora(at('no.safetensors')), () => at('no.safetensors'), 'not-found'],
  ['a LoRA that is none', () => openLora(join(sd, 'vae')), () => join(sd, 'vae'), 'unsupported'],
  ['an autoencoder that is not there', () => load(sd, { vae: at('no') }), () => at('no'), 'not-found'],
  ['a UNet that is not there', () => load(sd, { unet: at('no') }), () => at('no'), 'not-found'],
  ['a picture that is not there', () => openImage(at('no.png')), () => at('no.png'), 'not-found'],
  ['a picture that is none', () => openImage(at('text.png')), () => at('text.png'), 'unsupported'],
  [
    'pictures to train on that are not there',
    async () => plan(autoencoderTraining, await autoencoderTraining.configure(folderOf('no'))),
    () => at('no'),
    'not-found',
  ],
];

describe('errors about what a request needs', () => {
  it.each(places)('%s', async (_, work, place, code) => {
    const error = await failure(work);
    expect(error).toBeInstanceOf(InputError);
    const { path, message, code: found } = error as InputError;
    expect({ path, code: found }).toEqual({ path: expect.stringContaining(place()), code });
    expect(message).toContain(place());
    // What an HTTP answer is made of.
    expect(JSON.parse(JSON.stringify(error))).toEqual({ code, message, path });
  });
});

/** A request, or settings of a training, and the setting that is wrong with it. */
const settings: readonly (readonly [setting: string, () => unknown])[] = [
  ...(
    [
      ['steps', { steps: 0 }],
      ['guidanceScale', { guidanceScale: -1 }],
      ['scheduler', { scheduler: 'none' }],
      ['numImages', { numImages: 0.5 }],
      ['width', { width: 63 }],
      ['seed', { seed: 0.5 }],
      ['prompt', { prompt: 7 }],
    ] as const
  ).map(([setting, request]) => {
    const work = async () => {
      await using pipeline = await load(sd);
      await pipeline.generate({ prompt: 'a fox', ...(request as Partial<GenerationRequest>) });
    };
    return [setting, work] as const;
  }),
  ['predictionType', () => load(sd, { predictionType: 'v_prediction' })],
  ['config', () => load(sd, { config: sd })],
  ['steps', () => autoencoderTraining.configure({ steps: 'many' } as never)],
  [
    'optimizer.learningRate',
    () => autoencoderTraining.configure({ optimizer: { learningRate: -1 } } as never),
  ],
  ['stpes', () => autoencoderTraining.configure({ stpes: 3 } as never)],
];

describe('errors about settings', () => {
  it.each(settings)('%s', async (setting, work) => {
    const error = await failure(work);
    expect(error).toBeInstanceOf(SettingError);
    const { code, message } = error as SettingError;
    expect(JSON.parse(JSON.stringify(error))).toEqual({ code: 'invalid-setting', message, setting });
    expect(code).toBe('invalid-setting');
    // What the command makes of the same error; of a training's settings it says where in the file they are.
    const name = message.startsWith(`the setting "${setting}"`) ? `"${setting}"` : flagOf(setting);
    if (!/there is no/.test(message))
      expect((error as SettingError).messageWith(({ setting }) => flagOf(setting))).toContain(name);
  });

  it('what needs more memory than there is says so', async () => {
    await using pipeline = await load(sd, { memoryLimit: 1000 });
    const error = await failure(() => pipeline.generate({ prompt: 'a fox' }));
    expect(error).toBeInstanceOf(UsageError);
    expect(error).toMatchObject({ code: 'not-enough-memory' });
  });
});
