/** What the command line does, with what the package exports and nothing else. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import {
  cachedModel,
  decodePng,
  encodePng,
  type GenerationRequest,
  hashFile,
  hashTensors,
  InputError,
  type LoadOptions,
  loadPipeline,
  modelFingerprint,
  openLora,
  openModel,
  type PictureSettings,
  pictureRequest,
  pictureSettings,
  pictureText,
  pullModel,
  readPictureSettings,
  readPngText,
} from '../src/index.ts';

const golden = fileURLToPath(new URL('fixtures/golden', import.meta.url));
const style = join(golden, 'lora', 'style_peft');

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

/** Draws a picture with its settings inside, as PNG. */
async function draw(request: GenerationRequest, options: LoadOptions): Promise<Uint8Array> {
  const pipeline = await loadPipeline(model, { threads: 1, ...options });
  try {
    let steps = 0;
    const drawing = pipeline.generate(request);
    for await (const { step } of drawing) expect(step).toBe(++steps);
    const { images, settings } = await drawing;
    expect(steps).toBe(settings.steps);
    const loras = await Promise.all(
      (options.loras ?? []).map(async ({ lora: { from: path }, strength }) => {
        const hashes = { sha256: await hashFile(path), dataSha256: await hashTensors(path) };
        return { path, strength, ...hashes };
      }),
    );
    const made = { model, modelFingerprint: await modelFingerprint(await openModel(model)), loras };
    const text = pictureSettings(settings, 0, { ...made, engine: pipeline.engine, version: '1' });
    return await encodePng(images[0]!, pictureText(text));
  } finally {
    await pipeline.dispose();
  }
}

/** Draws it again from what it says of itself. */
async function drawAgain(settings: PictureSettings): Promise<Uint8Array> {
  const loras = (settings.loras ?? []).map(async ({ path, strength }) => ({
    lora: await openLora(path),
    strength,
  }));
  return draw(pictureRequest(settings), { loras: await Promise.all(loras) });
}

it('loads a model and LoRAs, draws, and draws the same again', async () => {
  const request = { prompt: 'a red fox', seed: 7, steps: 2, guidanceScale: 2 };
  const plain = await draw(request, {});
  const picture = await draw(request, { loras: [{ lora: await openLora(style), strength: 0.5 }] });
  expect((await decodePng(picture)).data).not.toEqual((await decodePng(plain)).data);
  const settings = readPictureSettings(await readPngText(picture));
  expect(settings).toMatchObject({ ...request, loras: [{ strength: 0.5 }] });
  expect(await drawAgain(settings!)).toEqual(picture);
});

it('knows an LCM-LoRA and what it is drawn with', async () => {
  const lora = await openLora(join(golden, 'lora', 'lcm_kohya.safetensors'));
  expect(lora.isConsistency).toBe(true);
  const drawn = async (strength: number, request: Partial<GenerationRequest> = {}) => {
    const picture = await draw({ prompt: 'a fox', seed: 7, ...request }, { loras: [{ lora, strength }] });
    return readPictureSettings(await readPngText(picture));
  };
  expect(await drawn(1)).toMatchObject({ scheduler: 'lcm', steps: 4, guidanceScale: 1 });
  expect(await drawn(1, { scheduler: 'euler', steps: 2 })).toMatchObject({
    ...{ scheduler: 'euler', guidanceScale: 7.5 },
  });
  expect(await drawn(0, { steps: 2 })).toMatchObject({ scheduler: 'ddim', guidanceScale: 7.5 });
});

it('finds models that were downloaded, and says when there are none', async () => {
  vi.stubEnv('HF_HUB_CACHE', join(folder, 'cache'));
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  await expect(cachedModel('some/one')).rejects.toThrow(InputError);
  await expect(pullModel('some/one')).rejects.toThrow(/not in the cache/);
});
