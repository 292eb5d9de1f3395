import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InputError, UsageError } from '../../errors.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { openSafetensors, writeSafetensors } from '../../weights/node/safetensors-file.ts';
import { loadComponents } from '../components.ts';
import { type OpenModelOptions, openModel } from './open-model.ts';

const golden = fileURLToPath(new URL('../../../tests/fixtures/golden', import.meta.url));
const lcm = join(golden, 'pipelines', 'lcm', 'model');
const single = join(golden, 'pipelines', 'single_file', 'model_fp16.safetensors');
const COMMIT = 'b'.repeat(40);

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'open-model-'));
  vi.stubEnv('HF_HUB_CACHE', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** A snapshot in the cache of downloads, to be filled. */
function snapshot(id: string): string {
  const root = join(folder, `models--${id.replace('/', '--')}`);
  mkdirSync(join(root, 'refs'), { recursive: true });
  writeFileSync(join(root, 'refs', 'main'), COMMIT);
  mkdirSync(join(root, 'snapshots', COMMIT), { recursive: true });
  return join(root, 'snapshots', COMMIT);
}

describe('openModel', () => {
  it('opens folders, files, and what was downloaded', async () => {
    expect((await openModel(lcm)).pipelineClass).toBe('LatentConsistencyModelPipeline');
    expect((await openModel(single)).pipelineClass).toBe('StableDiffusionPipeline');
    cpSync(lcm, snapshot('someone/lcm'), { recursive: true });
    expect((await openModel('someone/lcm')).pipelineClass).toBe('LatentConsistencyModelPipeline');
    copyFileSync(single, join(snapshot('someone/single'), 'model.safetensors'));
    expect((await openModel('someone/single')).classes.get('unet')).toBe('UNet2DConditionModel');
  });

  it.each([
    ['someone/other', /someone\/other \(main\) is not in the cache.*"lcm pull someone\/other"/],
    ['models/some/where', /models\/some\/where: there is no such folder/],
    [join(golden, 'nowhere'), /there is no such folder/],
  ])('says what to do about %s', async (name, message) => {
    const error = await openModel(name).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(message);
  });
});

describe('what a model predicts', () => {
  const prediction = async (name: string, options: OpenModelOptions) =>
    (await loadComponents(await openModel(name, options))).scheduler.predictionType;

  it('may be said where its configuration does not, and not against it', async () => {
    const model = join(folder, 'model');
    cpSync(lcm, model, { recursive: true });
    const file = join(model, 'scheduler', 'scheduler_config.json');
    const { prediction_type: stated, ...rest } = JSON.parse(readFileSync(file, 'utf8'));
    expect(await prediction(model, { predictionType: stated })).toBe('epsilon');
    await expect(prediction(model, { predictionType: 'v_prediction' })).rejects.toThrow(
      /prediction type v_prediction: the scheduler_config\.json of .* says epsilon; leave/,
    );
    writeFileSync(file, JSON.stringify(rest));
    expect(await prediction(model, {})).toBe('epsilon');
    expect(await prediction(model, { predictionType: 'v_prediction' })).toBe('v_prediction');
  });

  it('may be said of a checkpoint, but not against the folder that describes it', async () => {
    const config = join(golden, 'pipelines', 'single_file', 'config');
    const alone = join(folder, 'model.safetensors');
    copyFileSync(single, alone);
    const { predictionType } = await openModel(alone, { predictionType: 'v_prediction' });
    expect(predictionType).toBe('v_prediction');
    const text = { tokenizer: join(config, 'tokenizer'), config };
    await expect(prediction(alone, { ...text, predictionType: 'sample' })).rejects.toThrow(/says epsilon/);
  });

  it.each(['config', 'tokenizer'] as const)(
    '%s of its own is what a diffusers directory has',
    async (name) => {
      const opening = openModel(lcm, { [name]: lcm });
      await expect(opening).rejects.toThrow(UsageError);
      await expect(opening).rejects.toThrow(
        new RegExp(`^${name} .*is a diffusers directory, which has its own`),
      );
    },
  );
});

describe('another autoencoder', () => {
  it('may be the one of another model, or alone in a folder', async () => {
    const other = await openModel(single, { vae: lcm });
    expect((await other.network('vae')).location).toBe(join(lcm, 'vae'));
    expect((await other.network('unet')).location).toMatch(/model_fp16/);
    const tiny = await openModel(lcm, { vae: join(golden, 'models', 'vae_tiny') });
    expect(tiny.classes.get('vae')).toBe('AutoencoderTiny');
    expect(tiny.classes.get('unet')).toBe('UNet2DConditionModel');
  });

  it('may be a file, scaled as the one that it replaces', async () => {
    const { weights } = await openSafetensors(single);
    const names = [...weights.keys()].filter((name) => name.startsWith('first_stage_model.'));
    const file = join(folder, 'vae.safetensors');
    const bare = [...(await loadTensors(weights, names))].map(
      ([name, tensor]) => [name.replace('first_stage_model.', ''), tensor] as const,
    );
    await writeSafetensors(file, new Map(bare));
    const model = join(folder, 'model');
    cpSync(lcm, model, { recursive: true });
    writeFileSync(
      join(model, 'vae', 'config.json'),
      JSON.stringify({ scaling_factor: 0.5, sample_size: 40 }),
    );
    const files = await openModel(model, { vae: file });
    const { config, weights: stored } = await files.network('vae');
    expect(config).toMatchObject({
      scaling_factor: 0.5,
      sample_size: 40,
      block_out_channels: [32, 32, 32, 32],
    });
    expect(stored.has('decoder.mid_block.attentions.0.to_q.weight')).toBe(true);
  });

  it('that is not there, or none, is refused', async () => {
    await expect(openModel(lcm, { vae: join(folder, 'none') })).rejects.toThrow(/no such file or folder/);
    const lora = join(folder, 'lora.safetensors');
    await writeSafetensors(lora, new Map([['a', { dtype: 'uint8', shape: [1], data: new Uint8Array(1) }]]));
    await expect(openModel(lcm, { vae: lora })).rejects.toThrow(/holds no autoencoder/);
  });
});
