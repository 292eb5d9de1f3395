import { expect, it } from 'vitest';
import { z } from 'zod';
import { requestSchema } from './request-schema.ts';
import { checkRequest, readSetting, requestSettings, settingNames } from './request-settings.ts';

it('is a JSON schema that a validator takes, and agrees with the check of requests', () => {
  const schema = z.fromJSONSchema(requestSchema() as Parameters<typeof z.fromJSONSchema>[0]);
  const agree = (request: object) => {
    let passes = true;
    try {
      checkRequest(request);
    } catch {
      passes = false;
    }
    expect([request, schema.safeParse(request).success]).toEqual([request, passes]);
    return passes;
  };
  for (const value of [
    ...[undefined, 0, 1, -1, 0.5, 2 ** 53, 1000, 10_000, 10_001, 16_384, 20_000, '', 'lcm', 'lmc'],
    ...[[0, 0], [1, 2, 3], [-1, 5], ['a', 'b'], [1.5, 2], null, {}, true],
  ]) {
    for (const name of settingNames) {
      const { type } = requestSettings[name].kind;
      // Pictures are bytes on the one side and base64 on the other; the rest are nothing that JSON has.
      if (['image', 'generator', 'signal', 'function'].includes(type)) continue;
      agree({ prompt: 'a fox', [name]: value });
    }
  }
  expect(agree({ prompt: 'a fox', size: 5 })).toBe(false);
  expect(agree({ steps: 4 })).toBe(false);
  expect(agree({ prompt: ['a fox', 'a hen'], seed: [1, 2], numImages: 2 })).toBe(true);
});

it('says what each setting is for', () => {
  const { properties } = requestSchema();
  expect(Object.values(properties!).filter(({ description }) => !description)).toEqual([]);
  expect(properties!.guidanceScale).toEqual({
    title: 'guidance scale',
    type: 'number',
    minimum: 0,
    maximum: 1000,
    description: expect.stringMatching(/^how closely to follow the prompt; 1 is none \(default: /),
  });
});

it('settings are read from texts', () => {
  expect(readSetting('steps', '4')).toBe(4);
  expect(readSetting('guidanceScale', '1.5')).toBe(1.5);
  expect(readSetting('originalSize', '1024, 768')).toEqual([1024, 768]);
  expect(readSetting('scheduler', 'lcm')).toBe('lcm');
  expect(readSetting('negativePrompt', '')).toBe('');
  expect(() => readSetting('steps', '4.0')).toThrow('steps 4.0: expected a whole number from 1 to 10000');
  expect(() => readSetting('eta', ' ')).toThrow('eta " ": expected a number from 0 to 1');
  expect(() => readSetting('originalSize', '1024')).toThrow(
    'expected a list [height, width] of whole numbers',
  );
  expect(() => readSetting('scheduler', 'lmc')).toThrow(/expected one of .*; did you mean lcm\?/);
});
