/** Token ids against transformers' CLIPTokenizer. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ClipTokenizer } from '../../src/text/clip-tokenizer.ts';
import { loadClipTokenizer } from '../../src/text/tokenizer-files.ts';
import { describeGolden } from './golden.ts';

interface Case {
  readonly text: string;
  readonly ids: number[];
  readonly padded77: number[];
}

describeGolden('text', (folder) => {
  const folders = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'ids.json')));
  it('holds tokenizers', () => expect(folders.length).toBeGreaterThan(0));

  describe.each(folders)('%s', (name) => {
    const path = join(folder, name);
    const { cases } = JSON.parse(readFileSync(join(path, 'ids.json'), 'utf8')) as { cases: Case[] };
    let tokenizer: ClipTokenizer;
    beforeAll(async () => {
      tokenizer = await loadClipTokenizer(async (file) => {
        const full = join(path, file);
        return existsSync(full) ? readFile(full, 'utf8') : undefined;
      }, path);
    });
    it('holds cases', () => expect(cases.length).toBeGreaterThan(0));

    it.each(cases)('$text', ({ text, ids, padded77 }) => {
      expect(tokenizer.encode(text)).toEqual(ids);
      const { ids: padded, truncated } = tokenizer.tokenize(text);
      expect(padded).toEqual(padded77);
      expect(truncated !== undefined).toBe(ids.length > 77);
    });
  });
});
