import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { partFiles } from './copied-files.ts';

const source = fileURLToPath(new URL('../../../tests/fixtures/golden/pipelines/sd/model', import.meta.url));
let model: string;
beforeEach(() => {
  model = mkdtempSync(join(tmpdir(), 'model-'));
  cpSync(source, model, { recursive: true });
});
afterEach(() => rmSync(model, { recursive: true }));

it('takes the files of the tokenizer, and nothing else that lies there', async () => {
  mkdirSync(join(model, 'tokenizer', 'folder'));
  writeFileSync(join(model, 'tokenizer', 'notes.txt'), 'mine');
  symlinkSync('/etc/hostname', join(model, 'tokenizer', 'leak.txt'));
  const files = await partFiles(model, join(model, 'tokenizer'));
  expect(Object.keys(files).sort()).toEqual(readdirSync(join(source, 'tokenizer')).sort());
});

it('refuses a link that leads out of the model', async () => {
  symlinkSync('/etc/hostname', join(model, 'tokenizer', 'added_tokens.json'));
  const read = partFiles(model, join(model, 'tokenizer'));
  await expect(read).rejects.toThrow(InputError);
  await expect(read).rejects.toThrow(/added_tokens\.json is a link to .*hostname, outside of the model/);
});

it('says that there is no tokenizer', async () => {
  rmSync(join(model, 'tokenizer'), { recursive: true });
  await expect(partFiles(model, join(model, 'tokenizer'))).rejects.toThrow(
    /tokenizer holds nothing .*expected one of .*vocab\.json/,
  );
});
