import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Components, loadComponents } from '../components/components.ts';
import { diffusersFiles } from '../components/node/diffusers-files.ts';
import { SettingError, UsageError } from '../errors.ts';
import { createImage } from '../images/image.ts';
import { Generator } from '../random/generator.ts';
import { planGeneration } from './generation.ts';
import { pictureRequest, pictureSettings, readPictureSettings, SETTINGS_KEYWORD } from './picture-text.ts';
import {
  checkRequest,
  checkSetting,
  requestSettings,
  type SettingName,
  settingNames,
} from './request-settings.ts';
import type { GenerationRequest } from './settings.ts';

const folder = (name: string) =>
  fileURLToPath(new URL(`../../tests/fixtures/golden/pipelines/${name}/model`, import.meta.url));
let models: Components[];
beforeAll(async () => {
  models = await Promise.all(
    ['lcm', 'sd', 'sdxl'].map(async (name) => loadComponents(await diffusersFiles(folder(name)))),
  );
});

/** What a message says of a request. */
function refusal(request: unknown): string {
  try {
    checkRequest(request);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return '';
}

describe('a request', () => {
  const wrong: readonly (readonly [given: unknown, message: string])[] = [
    [null, 'the request is null; expected an object such as { prompt: "a fox" }'],
    ['a fox', 'the request is "a fox"; expected an object'],
    [{}, 'prompt absent: expected a text of at most 100000 characters, or a list of such'],
    [{ prompt: null }, 'prompt null: expected a text'],
    [{ prompt: ['a fox', 5] }, 'prompt 5: expected a text'],
    [{ prompt: 'x'.repeat(100_001) }, 'expected a text of at most 100000 characters'],
    [{ prompt: new Array(20).fill('x'.repeat(90_000)) }, 'have 1800000 characters; expected at most 1000000'],
    [{ prompt: [] }, 'the list of prompts is empty'],
    [{ scheduler: 64 }, 'scheduler 64: expected one of lcm, tcd, ddim,'],
    [{ scheduler: 'toString' }, 'scheduler "toString": expected one of lcm'],
    [
      { originalSize: 5 },
      'original size 5: expected a list [height, width] of whole numbers from 0 to 16384',
    ],
    [{ cropTopLeft: [1] }, 'crop top left [1]: expected a list [top, left] of whole numbers'],
    [{ numImages: 1e9 }, 'number of images 1000000000: expected a whole number from 1 to 10000'],
    [
      { prompt: new Array(200).fill('x'), numImages: 100 },
      '20000 pictures in one request, which are in memory together',
    ],
    [{ width: Number.NaN }, 'width NaN: expected a whole number from 1 to 16384'],
    [{ steps: '4' }, 'steps "4": expected a whole number from 1 to 10000'],
    [{ guidanceScale: Infinity }, 'guidance scale Infinity: expected a number from 0 to 1000'],
    [{ strength: 0 }, 'strength 0: expected a number above 0, up to 1'],
    [{ seed: 2 ** 53 }, 'seed 9007199254740992: expected a whole number, or a list of such'],
    [{ seed: [1, '2'] }, 'seed "2": expected a whole number'],
    [{ timesteps: new Array(5) }, 'timesteps []: expected a list of whole numbers from 0 to 10000'],
    [{ generator: 5 }, 'generator 5: expected a Generator, or a list of such'],
    [{ image: { width: 2, height: 2, channels: 3, data: new Uint8Array(11) } }, 'image {"width":2'],
    [{ image: 'fox.png' }, 'image "fox.png": expected an image { width, height, channels, data }'],
    [{ signal: 5 }, 'signal 5: expected an AbortSignal'],
    [{ onWarning: true }, 'onWarning true: expected a function'],
    [{ guidance_scale: 3 }, 'a request has no setting "guidance_scale"; did you mean guidanceScale?'],
    [{ ['x'.repeat(1e6)]: 5 }, 'it has prompt, negativePrompt, seed,'],
    [Object.create({ prompt: 5 }), 'prompt 5: expected a text'],
    [{ size: 64 }, 'a request has no setting "size"; it has prompt, negativePrompt, seed,'],
  ];
  it.each(wrong.map(([given, message]) => ({ given, message })))(
    'is refused: $message',
    ({ given, message }) => {
      const request =
        typeof given === 'object' && given !== null && Object.keys(given).length > 0
          ? { prompt: 'a fox', ...given }
          : given;
      expect(refusal(request)).toContain(message);
    },
  );

  it('may leave out what is undefined, and say everything at its limits', () => {
    expect(refusal({ prompt: 'a fox', steps: undefined, anything: undefined })).toBe('');
    const everything: Required<GenerationRequest> = {
      prompt: ['', 'a fox'],
      negativePrompt: '',
      steps: 10_000,
      guidanceScale: 0,
      guidanceRescale: 1,
      seed: [-1, 2 ** 53 - 1],
      generator: [new Generator(1)],
      numImages: 5000,
      width: 1,
      height: 16384,
      scheduler: 'lcm',
      eta: 0,
      timesteps: [999, 0],
      originalSteps: 1,
      clipSkip: 0,
      tileSize: 64,
      originalSize: [0, 16384],
      targetSize: [1, 1],
      cropTopLeft: [0, 0],
      strength: 1e-9,
      image: createImage(2, 3, 4),
      mask: createImage(1, 1, 3),
      signal: new AbortController().signal,
      onWarning: () => {},
    };
    expect(settingNames.filter((name) => !(name in everything))).toEqual([]);
    expect(refusal(everything)).toBe('');
  });

  it('that is wrong says of which setting, apart from its name in the message', () => {
    try {
      checkSetting('guidanceScale', -2);
    } catch (error) {
      expect(error).toBeInstanceOf(SettingError);
      const { setting, about, message } = error as SettingError;
      expect({ setting, about, message }).toEqual({
        setting: 'guidanceScale',
        about: '-2: expected a number from 0 to 1000',
        message: 'guidance scale -2: expected a number from 0 to 1000',
      });
    }
    expect.assertions(2);
  });

  it('of any values whatever is planned or refused with a message, never more than that', () => {
    const junk = fc.oneof(
      fc.anything({
        maxDepth: 2,
        withBigInt: true,
        withTypedArray: true,
        withNullPrototype: true,
        withSparseArray: true,
      }),
      fc.constantFrom(
        Number.NaN,
        -0,
        1e308,
        -1e308,
        2 ** 53,
        5e-324,
        '',
        '64',
        'lcm',
        'constructor',
        '__proto__',
      ),
      fc.constantFrom(0, 1, 4, 8, 50, 64, 65, 512, 999, 1000, [64, 64], [1, 2], [999, 500, 1], [], 0.5),
    );
    const few = fc.uniqueArray(fc.constantFrom(...settingNames), { maxLength: 3 });
    const requests = few.chain((names) =>
      fc.tuple(
        fc.constantFrom(0, 1, 2),
        fc.record(Object.fromEntries(names.map((name) => [name, junk]))),
        fc.boolean(),
      ),
    );
    let planned = 0;
    fc.assert(
      fc.property(requests, ([model, request, hasPrompt]) => {
        try {
          planGeneration(models[model]!, {
            ...request,
            ...(hasPrompt && { prompt: 'a fox' }),
          } as GenerationRequest);
          planned++;
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect((error as Error).message.length).toBeLessThan(500);
          expect((error as Error).message).not.toMatch(/undefined|\[object/);
        }
      }),
      { numRuns: 5000 },
    );
    expect(planned).toBeGreaterThan(200);
  });
});

it('names in pictures are those under which pictures carry the settings', () => {
  const request: GenerationRequest = {
    prompt: 'a fox',
    negativePrompt: 'a hen',
    steps: 4,
    guidanceScale: 2,
    guidanceRescale: 0.5,
    seed: 7,
    width: 64,
    height: 64,
    scheduler: 'tcd',
    eta: 0.5,
    originalSteps: 50,
    clipSkip: 1,
    tileSize: 64,
    image: createImage(64, 64, 3),
    strength: 0.75,
  };
  const { settings } = planGeneration(models[1]!, request);
  const carried = pictureSettings(settings, 0, { model: 'm', version: '1', engine: 'e' });
  const text = { [SETTINGS_KEYWORD]: JSON.stringify(carried) };
  expect(pictureRequest(readPictureSettings(text)!)).toBeTypeOf('object');
  const named = settingNames.filter(
    (name): name is SettingName => 'inPicture' in requestSettings[name] && name in request,
  );
  for (const name of named) {
    expect([name, { ...carried }[name as keyof typeof carried]]).toEqual([name, request[name]]);
  }
  expect(named).toHaveLength(14);
});
