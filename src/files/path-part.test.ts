import { basename, posix, win32 } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import { isPathPart, requirePathPart } from './path-part.ts';

describe('a plain part of a path', () => {
  it.each([
    'unet',
    'text_encoder_2',
    'model-00001-of-00002.safetensors',
    '.hidden',
    'Pferd am Fluß',
    '狐.png',
    'a..b',
    'console',
    'common.json',
    'x'.repeat(255),
  ])('is %j', (name) => {
    expect(isPathPart(name)).toBe(true);
    expect(requirePathPart(name, 'a part')).toBe(name);
  });

  it.each([
    '',
    '.',
    '..',
    '.. ',
    'unet.',
    'unet ',
    '../.vscode',
    'unet/../../outside',
    '/etc',
    'a\\..\\b',
    'C:',
    'C:evil',
    'unet:stream',
    'a\0b',
    'a\nb',
    'a\ud800b',
    'nul',
    'AUX.json',
    'com1',
    'LPT¹.txt',
    'con .json',
    'x'.repeat(256),
    'ß'.repeat(128),
    undefined,
    null,
    7,
    ['unet'],
  ])('is not %j', (name) => {
    expect(isPathPart(name)).toBe(false);
    expect(() => requirePathPart(name, 'a part')).toThrow(InputError);
  });

  it('stays in the folder that it is joined to, on every system', () => {
    const awkward = fc.constantFrom('..', '.', '/', '\\', ':', 'C:', ' ', '\0', 'nul', 'a', 'unet');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(awkward).map((parts) => parts.join('')),
        ),
        (name) => {
          if (!isPathPart(name)) return;
          expect(posix.join('/out', name)).toBe(`/out/${name}`);
          expect(win32.join('D:\\out', name)).toBe(`D:\\out\\${name}`);
          expect(basename(name)).toBe(name);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('is asked for in few words, however long the name', () => {
    const message = (name: unknown) => {
      try {
        requirePathPart(name, 'a part of model_index.json');
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    expect(message('/'.repeat(1_000_000)).length).toBeLessThan(500);
    expect(message({ a: '/'.repeat(1_000_000) })).toMatch(/is called {"a":"\/+…; expected a plain name/);
  });
});
