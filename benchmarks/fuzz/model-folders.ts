/** Models as diffusers writes them: every configuration, the index, tokenizers, weights, shards, and what kind of files they are. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openModel } from '../../src/components/node/open-model.ts';
import { schedulerNames } from '../../src/components/scheduler.ts';
import { damagedBytes, damagedJsonText, damagedSafetensors, damagedText, jsonText } from './damage.ts';
import { draw } from './drawing.ts';
import { FIXTURES, type Kind } from './kind.ts';
import type { Random } from './random.ts';

const MODELS = ['lcm', 'sd', 'sdxl'].map((name) => join(FIXTURES, 'golden', 'pipelines', name, 'model'));

export const modelFolders: Kind = {
  name: 'model folders',
  async make(random, folder) {
    const model = join(folder, 'model');
    const files = await copyModel(random.pick(MODELS), model);
    if (random.chance(0.97)) {
      for (let left = 1 + random.below(2); left > 0; left--) await damageModel(model, files, random);
    }
    const scheduler = random.chance(0.3) ? random.pick(schedulerNames) : undefined;
    return { names: [model], use: async () => draw(await openModel(model), {}, scheduler) };
  },
};

/** Copies the model and returns the paths of its files. */
export async function copyModel(from: string, to: string): Promise<string[]> {
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(from.length + 1));
  for (const file of files) {
    await mkdir(dirname(join(to, file)), { recursive: true });
    await copyFile(join(from, file), join(to, file));
  }
  return files.sort();
}

async function damageModel(model: string, files: readonly string[], random: Random): Promise<void> {
  const file = random.pick(files.filter((name) => random.chance(name === 'model_index.json' ? 1 : 0.5)));
  const path = join(model, file);
  const change = random.below(20);
  // Its folder may be called otherwise by now.
  if (!existsSync(dirname(path))) return;
  if (change === 0) return rm(path, { force: true });
  if (change === 1) return replaceByOther(path, random);
  if (change === 2) return renamePart(model, random);
  if (change === 3) return shardWeights(model, random);
  const content = await contentOf(path);
  if (content === undefined) return;
  await writeFile(path, damagedContent(file, content, random));
}

/** Undefined where no file is any more: what stands there by now may never end. */
async function contentOf(path: string): Promise<Buffer | undefined> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isFile() ? readFile(path) : undefined;
}

function damagedContent(file: string, content: Buffer, random: Random): string | Uint8Array {
  if (random.chance(0.05)) return random.pick([new Uint8Array(), content.subarray(0, 8), '{}', 'null', '[]']);
  if (file.endsWith('.safetensors')) return damagedSafetensors(content, random);
  if (random.chance(0.05)) return damagedBytes(content, random);
  return file.endsWith('.json')
    ? damagedJsonText(content.toString(), random)
    : damagedText(content.toString(), random);
}

/** A folder, a pipe, a link to nowhere, in a circle or to a device stands where a file was. */
async function replaceByOther(path: string, random: Random): Promise<void> {
  await rm(path, { force: true, recursive: true });
  const change = random.below(process.platform === 'win32' ? 1 : 5);
  if (change === 0) await mkdir(path);
  else if (change === 1) execFileSync('mkfifo', [path]);
  else await symlink(['nowhere', path, '/dev/zero'][change - 2]!, path);
}

/** A folder of the model is called otherwise, in the index too or not. */
async function renamePart(model: string, random: Random): Promise<void> {
  const index = join(model, 'model_index.json');
  const part = random.pick(['unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler']);
  const name = random.pick(['x', 'tokenizer_3', 'Unet', '../x', 'unet/x', '', '.', 'constructor', 'é']);
  await rename(join(model, part), join(model, 'x')).catch(() => {});
  if (random.chance(0.5)) return;
  const text = (await contentOf(index))?.toString() ?? '{}';
  await writeFile(
    index,
    text.replaceAll(`"${part}"`, () => JSON.stringify(name)),
  );
}

/** The weights of a network in two files and an index of them, with damage to the index. */
async function shardWeights(model: string, random: Random): Promise<void> {
  const [part, stem] = random.pick([
    ['unet', 'diffusion_pytorch_model'],
    ['vae', 'diffusion_pytorch_model'],
    ['text_encoder', 'model'],
  ]);
  const folder = join(model, part);
  const file = await contentOf(join(folder, `${stem}.safetensors`));
  if (file === undefined || file.length < 8) return;
  const length = Number(file.readBigUInt64LE());
  let header: Record<string, { data_offsets: [number, number] }>;
  try {
    header = JSON.parse(file.subarray(8, 8 + length).toString());
  } catch {
    return;
  }
  const data = file.subarray(8 + length);
  const weightMap: Record<string, string> = {};
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  for (const shard of [0, 1]) {
    const own = names.filter((_, i) => i < names.length / 2 === (shard === 0));
    const described: Record<string, unknown> = {};
    const parts: Buffer[] = [];
    let offset = 0;
    for (const name of own) {
      const entry = header[name]!;
      const bytes = data.subarray(...entry.data_offsets);
      described[name] = { ...entry, data_offsets: [offset, offset + bytes.length] };
      offset += bytes.length;
      parts.push(bytes);
      weightMap[name] = `${stem}-0000${shard + 1}-of-00002.safetensors`;
    }
    const text = Buffer.from(JSON.stringify(described));
    const start = Buffer.alloc(8);
    start.writeBigUInt64LE(BigInt(text.length));
    const path = join(folder, `${stem}-0000${shard + 1}-of-00002.safetensors`);
    await writeFile(path, Buffer.concat([start, text, ...parts]));
  }
  await rm(join(folder, `${stem}.safetensors`));
  const index = jsonText({ metadata: { total_size: data.length }, weight_map: weightMap });
  const text = random.chance(0.2) ? index : damagedJsonText(index, random);
  await writeFile(join(folder, `${stem}.safetensors.index.json`), text);
}
