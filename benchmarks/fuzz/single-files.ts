/** Single-file checkpoints whose header is sound, and what it says is not: names, shapes, types and texts. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openModel } from '../../src/components/node/open-model.ts';
import { damagedSafetensors } from './damage.ts';
import { draw } from './drawing.ts';
import { FIXTURES, type Kind } from './kind.ts';

const SINGLE = join(FIXTURES, 'golden', 'pipelines', 'single_file');
const BASE = join(FIXTURES, 'golden', 'pipelines', 'sd', 'model');

export const singleFiles: Kind = {
  name: 'single files',
  async make(random, folder) {
    const path = join(folder, 'model.safetensors');
    const original = await readFile(join(SINGLE, 'model_fp16.safetensors'));
    await writeFile(path, random.chance(0.03) ? original : damagedSafetensors(original, random));
    const config = random.chance(0.8) ? join(SINGLE, 'config') : undefined;
    const role = random.below(8);
    return {
      names: [path],
      async use() {
        // Also in place of another model's part.
        if (role === 0) return draw(await openModel(BASE, { vae: path }));
        if (role === 1) return draw(await openModel(BASE, { unet: path }));
        return draw(await openModel(path, { config }));
      },
    };
  },
};
