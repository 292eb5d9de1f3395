/** Pictures of every format: bytes, sizes that they declare, chunks, and pieces of them. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileSource } from '../../src/files/node/folder.ts';
import { openImage } from '../../src/images/node/open-image.ts';
import { readChunks, writeChunks } from '../../src/images/png-chunks.ts';
import { checkPicture } from '../../src/training/folder/check-picture.ts';
import { damagedBytes } from './damage.ts';
import { FIXTURES, type Kind } from './kind.ts';
import type { Random } from './random.ts';

const PICTURES = join(FIXTURES, 'pictures');

export const pictures: Kind = {
  name: 'pictures',
  async make(random, folder) {
    const files = (await readdir(PICTURES)).filter((name) => /\.(png|jpg|webp|gif|bmp|tif|avif)$/.test(name));
    // As many of each format, however many of it there are.
    const ending = random.pick(['png', 'jpg', 'webp', 'gif', 'bmp', 'tif', 'avif']);
    const name = random.pick(files.filter((file) => file.endsWith(ending)).sort());
    const original = await readFile(join(PICTURES, name));
    const path = join(folder, name);
    await writeFile(path, random.chance(0.03) ? original : damagedPicture(original, ending, random));
    return {
      names: [path],
      async use() {
        // Trainings look at pictures before they decode them.
        await checkPicture({ name, holder: '', open: () => fileSource(path) });
        await openImage(path);
        return 'read';
      },
    };
  },
};

function damagedPicture(original: Uint8Array, ending: string, random: Random): Uint8Array {
  if (ending !== 'png' || random.chance(0.3)) return damagedBytes(original, random);
  // Chunks with checksums that are right, which readers get behind.
  const chunks = [...readChunks(original)];
  random.times(1, 2, () => {
    const at = random.below(chunks.length);
    const chunk = chunks[at]!;
    const change = random.below(8);
    if (change === 0) chunks.splice(at, 1);
    else if (change === 1) chunks.splice(random.below(chunks.length), 0, chunk);
    else if (change === 2)
      chunks[at] = { ...chunk, type: random.pick(['tRNS', 'PLTE', 'iCCP', 'gAMA', 'eXIf', 'zTXt']) };
    else chunks[at] = { ...chunk, data: damagedBytes(chunk.data, random) };
    if (chunks.length === 0) chunks.push(chunk);
  });
  return writeChunks(chunks);
}
