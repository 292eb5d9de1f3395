import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { removeLeftovers, writeDirectoryAtomically, writeFileAtomically } from './atomic-write.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-write-'));
});
afterEach(() => rm(folder, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);

/** Some data, and then what the system says when the disk is full. */
function* untilFull() {
  yield bytes('beginning');
  throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
}

describe('writeFileAtomically', () => {
  it('writes all pieces, makes the folder and replaces what was there', async () => {
    const path = join(folder, 'a', 'b', 'file');
    await writeFileAtomically(path, [bytes('first')]);
    await writeFileAtomically(path, [bytes('sec'), bytes(''), bytes('ond')]);
    expect(await readFile(path, 'utf8')).toBe('second');
    expect(await readdir(join(folder, 'a', 'b'))).toEqual(['file']);
  });

  it('says so when a part of the path is a file', async () => {
    await writeFile(join(folder, 'file'), 'old');
    for (const path of [join(folder, 'file', 'a'), join(folder, 'file', 'a', 'b')]) {
      const error = await writeFileAtomically(path, [bytes('new')]).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(InputError);
      expect((error as Error).message).toMatch(/cannot write .*: a part of the path is a file, not a folder/);
    }
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('leaves the old file and nothing else when the disk is full', async () => {
    const path = join(folder, 'file');
    await writeFile(path, 'old');
    const error = await writeFileAtomically(path, untilFull()).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(/cannot write .*file: the disk is full/);
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['file']);
  });

  it('says so when a folder has the name', async () => {
    await mkdir(join(folder, 'taken', 'inside'), { recursive: true });
    await expect(writeFileAtomically(join(folder, 'taken'), [bytes('x')])).rejects.toThrow(InputError);
    expect(await readdir(folder)).toEqual(['taken']);
  });

  it('passes on errors that are no fault of the place', async () => {
    const broken = (function* () {
      yield bytes('x');
      throw new TypeError('a bug');
    })();
    await expect(writeFileAtomically(join(folder, 'file'), broken)).rejects.toThrow(TypeError);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('writeDirectoryAtomically', () => {
  const fill = (text: string) => (partial: string) => writeFile(join(partial, 'inside'), text);

  it('makes a folder, and refuses an existing one before writing anything', async () => {
    const path = join(folder, 'model');
    await writeDirectoryAtomically(path, fill('one'));
    let called = false;
    const again = writeDirectoryAtomically(path, async () => {
      called = true;
    });
    await expect(again).rejects.toThrow(InputError);
    expect(called).toBe(false);
    expect(await readFile(join(path, 'inside'), 'utf8')).toBe('one');
  });

  it('replaces a folder as a whole when asked', async () => {
    const path = join(folder, 'model');
    await writeDirectoryAtomically(path, (partial) => writeFile(join(partial, 'gone'), ''));
    await writeDirectoryAtomically(path, fill('two'), { replace: true });
    expect(await readdir(path)).toEqual(['inside']);
    expect(await readdir(folder)).toEqual(['model']);
  });

  it('keeps the old folder when filling the new one fails', async () => {
    const path = join(folder, 'model');
    await writeDirectoryAtomically(path, fill('old'));
    const failing = writeDirectoryAtomically(
      path,
      async (partial) => {
        await fill('new')(partial);
        throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      },
      { replace: true },
    );
    await expect(failing).rejects.toThrow(/disk is full/);
    expect(await readFile(join(path, 'inside'), 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['model']);
  });
});

describe('removeLeftovers', () => {
  it('removes what ended processes left, not what living ones write or other files', async () => {
    // No system has processes of this number.
    const dead = 2 ** 31 - 2;
    const kept = ['.a.1.partial', '.hidden', 'a', `b.${dead}.partial`];
    const left = [`.a.${dead}.partial`, `.a.b.${process.pid}.partial`, `.a.${dead}.old`];
    for (const name of [...kept, ...left]) await writeFile(join(folder, name), '');
    await mkdir(join(folder, `.model.${dead}.partial`));
    await removeLeftovers(folder);
    expect((await readdir(folder)).sort()).toEqual(kept);
    await removeLeftovers(join(folder, 'nowhere'));
  });

  it('gives a folder back its name that had stepped aside', async () => {
    const old = join(folder, `.model.${2 ** 31 - 2}.old`);
    await mkdir(old);
    await writeFile(join(old, 'inside'), 'old');
    await mkdir(join(folder, `.model.${2 ** 31 - 2}.partial`));
    await removeLeftovers(folder);
    expect(await readFile(join(folder, 'model', 'inside'), 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['model']);
  });
});
