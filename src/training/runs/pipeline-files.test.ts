import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { readTokenizerFiles } from './pipeline-files.ts';

const source = fileURLToPath(new URL('../../../tests/fixtures/golden/pipelines/sd/model', import.meta.url));
let teacher: string;
beforeEach(() => {
  teacher = mkdtempSync(join(tmpdir(), 'teacher-'));
  cpSync(source, teacher, { recursive: true });
});
afterEach(() => rmSync(teacher, { recursive: true }));

it('takes the files of the tokenizer, and nothing else that lies there', async () => {
  mkdirSync(join(teacher, 'tokenizer', 'folder'));
  writeFileSync(join(teacher, 'tokenizer', 'notes.txt'), 'mine');
  symlinkSync('/etc/hostname', join(teacher, 'tokenizer', 'leak.txt'));
  const files = await readTokenizerFiles(teacher);
  expect(Object.keys(files).sort()).toEqual(readdirSync(join(source, 'tokenizer')).sort());
});

it('refuses a link that leads out of the model', async () => {
  symlinkSync('/etc/hostname', join(teacher, 'tokenizer', 'added_tokens.json'));
  const read = readTokenizerFiles(teacher);
  await expect(read).rejects.toThrow(InputError);
  await expect(read).rejects.toThrow(/added_tokens\.json is a link to .*hostname, outside of the model/);
});

it('says that there is no tokenizer', async () => {
  rmSync(join(teacher, 'tokenizer'), { recursive: true });
  await expect(readTokenizerFiles(teacher)).rejects.toThrow(
    /tokenizer holds nothing .*expected one of .*vocab\.json/,
  );
});
