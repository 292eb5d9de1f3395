/** What the command line does, with what the package exports and nothing else. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import {
  cachedModel,
  createImage,
  decodePng,
  encodePng,
  type GenerationRequest,
  InputError,
  type LoadOptions,
  loadPipeline,
  openImage,
  openLora,
  type PictureSettings,
  pictureRequest,
  pullModel,
  readPictureSettings,
  readPngText,
} from '../src/index.ts';
import { workspace } from './cli/lcm.ts';

const golden = fileURLToPath(new URL('fixtures/golden', import.meta.url));
const style = join(golden, 'lora', 'style_peft');

const command = workspace();
let folder: string;
let model: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'library-'));
  model = join(folder, 'model');
  cpSync(join(golden, 'pipelines', 'sd', 'model'), model, { recursive: true });
  // The one that the LoRAs were made for.
  cpSync(join(golden, 'lora', 'unet'), join(model, 'unet'), { recursive: true });
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Draws one picture, as a PNG file with its settings inside. */
async function draw(request: GenerationRequest, options: LoadOptions = {}): Promise<Uint8Array> {
  const pipeline = await loadPipeline(model, { threads: 1, ...options });
  try {
    const { images } = await pipeline.generate(request);
    return await images[0]!.toPng();
  } finally {
    await pipeline.dispose();
  }
}

async function settingsIn(png: Uint8Array): Promise<PictureSettings> {
  return readPictureSettings(await readPngText(png))!;
}

it('draws the same again from what a picture says of itself', async () => {
  const request = { prompt: 'a red fox', seed: 7, steps: 2, guidanceScale: 2 };
  const plain = await draw(request);
  const picture = await draw(request, { loras: [`${style}:0.5`] });
  expect((await decodePng(picture)).data).not.toEqual((await decodePng(plain)).data);
  const settings = await settingsIn(picture);
  expect(settings).toMatchObject({ ...request, model, loras: [{ path: style, strength: 0.5 }] });
  const loras = settings.loras!.map(({ path, strength }) => `${path}:${strength}`);
  expect(await draw(pictureRequest(settings), { loras })).toEqual(picture);
});

it('saves what lcm generate writes, to the byte', async () => {
  const sketch = join(folder, 'sketch.png');
  const lora = `${style}:0.5`;
  const vae = join(model, 'vae');
  const image = createImage(
    64,
    64,
    3,
    new Uint8Array(64 * 64 * 3).map((_, i) => i),
  );
  writeFileSync(sketch, await encodePng(image));
  const [ours, theirs] = ['ours', 'theirs'].map((name) => join(folder, 'pictures', `${name}.png`));
  const { code } = await command.run(
    ...['generate', 'a red fox', '--model', model, '--lora', lora, '--vae', vae, '--image', sketch],
    ...['--strength', '0.5', '--steps', '4', '--seed', '7', '--threads', '1', '--out', theirs!],
  );
  expect(code).toBe(0);
  const pipeline = await loadPipeline(model, { threads: 1, loras: [lora], vae });
  try {
    const request = { prompt: 'a red fox', strength: 0.5, steps: 4, seed: 7 };
    const { images } = await pipeline.generate({ ...request, image: await openImage(sketch) });
    await images[0]!.save(ours!);
    expect(readFileSync(ours!)).toEqual(readFileSync(theirs!));
    expect(Buffer.from(await (await images[0]!.toBlob()).arrayBuffer())).toEqual(readFileSync(ours!));
    expect(await settingsIn(readFileSync(ours!))).toEqual(await images[0]!.settings());
    await expect(images[0]!.save(join(sketch, 'a.png'))).rejects.toThrow(InputError);
    await expect(images[0]!.save(`${ours}.jpg`)).rejects.toThrow(/saved as PNG/);
  } finally {
    await pipeline.dispose();
  }
});

it('names the model that comes with the package as the command does, and no path of this machine', async () => {
  const pipeline = await loadPipeline();
  const { images } = await pipeline.generate({ prompt: 'a lighthouse', steps: 1, seed: 7 });
  await pipeline.dispose();
  expect(await images[0]!.settings()).toMatchObject({ model: 'postcards', seed: 7 });
});

it('knows an LCM-LoRA and what it is drawn with', async () => {
  const path = join(golden, 'lora', 'lcm_kohya.safetensors');
  const lora = await openLora(path);
  expect(lora.isConsistency).toBe(true);
  const drawn = async (strength: number, request: Partial<GenerationRequest> = {}) =>
    settingsIn(await draw({ prompt: 'a fox', seed: 7, ...request }, { loras: [{ lora, strength }] }));
  expect(await drawn(1)).toMatchObject({ scheduler: 'lcm', steps: 4, guidanceScale: 1, loras: [{ path }] });
  expect(await drawn(1, { scheduler: 'euler', steps: 2 })).toMatchObject({
    scheduler: 'euler',
    guidanceScale: 7.5,
  });
  expect(await drawn(0, { steps: 2 })).toMatchObject({ scheduler: 'ddim', guidanceScale: 7.5 });
});

it('finds models that were downloaded, and says when there are none', async () => {
  vi.stubEnv('HF_HUB_CACHE', join(folder, 'cache'));
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  await expect(cachedModel('some/one')).rejects.toThrow(InputError);
  await expect(pullModel('some/one')).rejects.toThrow(/not in the cache/);
});
