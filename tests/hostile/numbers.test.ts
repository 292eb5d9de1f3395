/**
 * Numbers in configurations that no model has: refused by name, at once, before anything is made of them. What is
 * large but may be is refused as soon as the weights are known, or planned in a moment.
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { loadComponents } from '../../src/components/components.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import { createReferenceEngine } from '../../src/engines/reference/engine.ts';
import { InputError, UsageError } from '../../src/errors.ts';
import { type JsonObject, parseJsonObject } from '../../src/files/json.ts';
import { loadPipeline } from '../../src/pipelines/node/load.ts';
import { autoencoderRunConfig } from '../../src/training/runs/autoencoder-config.ts';
import { diffusionRunConfig } from '../../src/training/runs/diffusion-config.ts';
import { train } from '../../src/training/runs/recipe.ts';
import { autoencoderTraining } from '../../src/training/runs/train-autoencoder.ts';

const fixtures = fileURLToPath(new URL('../fixtures/golden/pipelines', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
afterAll(() => rmSync(folder, { recursive: true }));

let model: string;
beforeEach(() => {
  model = mkdtempSync(join(folder, 'model-'));
  cpSync(join(fixtures, 'sd', 'model'), model, { recursive: true });
});

/** Writes `value` (JSON as Python has it) for the field of a file of the model. */
function set(file: string, field: string, value: string): void {
  const original = JSON.parse(readFileSync(join(fixtures, 'sd', 'model', file), 'utf8')) as object;
  const text = JSON.stringify({ ...original, [field]: 'HERE' });
  writeFileSync(
    join(model, file),
    text.replace('"HERE"', () => value),
  );
}

async function refusal(work: () => Promise<unknown>): Promise<string> {
  const error = await work().then(
    () => Promise.reject(new Error('it should have been refused')),
    (reason: unknown) => reason as Error,
  );
  expect(error instanceof InputError || error instanceof UsageError).toBe(true);
  expect(error.message.length).toBeLessThan(500);
  expect(error.message).not.toMatch(/undefined|\[object/);
  return error.message;
}

const load = async () => loadComponents(await openModel(model));
/** As `lcm generate` does, up to the plan of what is to be computed. */
const draw = async () => {
  const pipeline = await loadPipeline(model);
  try {
    await pipeline.generate({ prompt: 'a fox', steps: 1, seed: 0 });
  } finally {
    await pipeline.dispose();
  }
};

const UNET = 'unet/config.json';
const VAE = 'vae/config.json';
const TEXT = 'text_encoder/config.json';

const counts: readonly (readonly [file: string, field: string])[] = [
  ...['layers_per_block', 'transformer_layers_per_block', 'attention_head_dim', 'norm_num_groups'].map(
    (field) => [UNET, field] as const,
  ),
  ...['in_channels', 'out_channels', 'cross_attention_dim', 'sample_size', 'time_embedding_dim'].map(
    (field) => [UNET, field] as const,
  ),
  ...['time_cond_proj_dim', 'conv_in_kernel', 'conv_out_kernel', 'downsample_padding'].map(
    (field) => [UNET, field] as const,
  ),
  ...['layers_per_block', 'in_channels', 'out_channels', 'latent_channels', 'norm_num_groups'].map(
    (field) => [VAE, field] as const,
  ),
  [VAE, 'sample_size'],
  ...['vocab_size', 'hidden_size', 'intermediate_size', 'projection_dim', 'num_hidden_layers'].map(
    (field) => [TEXT, field] as const,
  ),
  ...['num_attention_heads', 'max_position_embeddings', 'bos_token_id', 'eos_token_id', 'pad_token_id'].map(
    (field) => [TEXT, field] as const,
  ),
];

describe('counts that no model has are refused by name', () => {
  it.each(counts)('%s, %s', async (file, field) => {
    for (const value of [
      '1e9',
      '1e308',
      '1.5',
      '-1',
      'Infinity',
      'NaN',
      '"2"',
      '[1e9]',
      '{"a": 1}',
      'true',
    ]) {
      set(file, field, value);
      const part = file.split('/')[0]!;
      expect(await refusal(load)).toMatch(new RegExp(`^${join(model, part)}: \\w+ config: ${field} is `));
    }
  });

  it.each([UNET, VAE])('%s, block_out_channels', async (file) => {
    const wide = JSON.stringify(new Array(100_000).fill(32));
    for (const value of ['[1e9, 1e9]', wide, '[]', '[1.5, 2]', '32', '[0, 32]', '[[32], [64]]']) {
      set(file, 'block_out_channels', value);
      expect(await refusal(load)).toMatch(/config: block_out_channels is .*; expected a list of 1 to 8/);
    }
  });
});

describe('numbers that make nothing but NaN or grey are refused by name', () => {
  it.each([
    [VAE, 'scaling_factor', ['0', '-0.18', '1e308', '1e-300', 'NaN', 'Infinity']],
    [VAE, 'shift_factor', ['NaN', '1e308', '-Infinity']],
    [UNET, 'norm_eps', ['0', '-1e-5', '1e308', '1e-320', 'NaN']],
    [UNET, 'freq_shift', ['NaN', '1e308', '-1', '16']],
    [TEXT, 'layer_norm_eps', ['-1e308', '0', '1e-310', 'NaN']],
  ])('%s, %s', async (file, field, values) => {
    for (const value of values) {
      set(file, field, value);
      expect(await refusal(load)).toMatch(new RegExp(`config: ${field} is `));
    }
  });

  it.each([
    ['num_train_timesteps', ['1e8', '0', '1', '999.5', 'NaN', '"1000"']],
    ['beta_start', ['-5', '0', 'NaN', 'Infinity', '2']],
    ['beta_end', ['1e308', '0', '-0.1']],
    ['trained_betas', ['[2]', '[NaN]', '[-1]', '["a"]', '7']],
    ['steps_offset', ['1e9', '-1', '0.5']],
  ])('the scheduler, %s', async (field, values) => {
    for (const value of values) {
      set('scheduler/scheduler_config.json', field, value);
      expect(await refusal(draw)).toMatch(new RegExp(`scheduler config: ${field} `));
    }
  });
});

it('names on the prototype of objects are no classes and no values', async () => {
  for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    const index = join(model, 'model_index.json');
    const json = JSON.parse(readFileSync(index, 'utf8')) as object;
    writeFileSync(index, JSON.stringify({ ...json, scheduler: ['diffusers', name] }));
    expect(await refusal(draw)).toMatch(new RegExp(name));
    writeFileSync(index, JSON.stringify(json));
  }
  set('scheduler/scheduler_config.json', 'beta_schedule', '"constructor"');
  expect(await refusal(draw)).toMatch(/beta_schedule "constructor"/);
  for (const given of ['{"toString": 5}', '{"constructor": {"a": 1}}', '{"__proto__": {"a": 1}}']) {
    expect(() => autoencoderRunConfig(parseJsonObject(given, 'settings.json'))).toThrow(
      /there is no training setting/,
    );
  }
});

it('a configuration of more layers than there are weights for is refused at once', async () => {
  set(UNET, 'layers_per_block', '100');
  expect(await refusal(draw)).toMatch(
    /lacks \d+ of the \d+ weights of the model|the weight .* is stored with the shape/,
  );
});

it('settings of a training are held to the same bounds', () => {
  for (const settings of [
    { layers_per_block: 1e9 },
    { block_out_channels: [1e9, 1e9, 1e9] },
    { scaling_factor: 0 },
  ]) {
    expect(() => autoencoderRunConfig({ model: settings })).toThrow(
      /^the setting "model": AutoencoderKL config: \w+ is /,
    );
  }
  const diffusion = (settings: JsonObject) => () => diffusionRunConfig({ vae: 'x', ...settings });
  expect(diffusion({ unet: { layers_per_block: 1e9 } })).toThrow(/UNet2DConditionModel config: layers_per/);
  expect(diffusion({ textEncoder: { num_hidden_layers: 1e9 } })).toThrow(/CLIPTextModel config: num_hidden/);
  expect(diffusion({ schedule: { num_train_timesteps: 1e8 } })).toThrow(/schedule.num_train_timesteps/);
});

it('a training of more parameters than there is memory for is refused before any is made', async () => {
  const config = autoencoderRunConfig({ steps: 1, model: { block_out_channels: [32768, 32768, 32768] } });
  const directory = join(folder, 'run');
  const training = train(autoencoderTraining, config, { engine: createReferenceEngine(), directory });
  await expect(training).rejects.toThrow(UsageError);
  await expect(training).rejects.toThrow(
    /^training 289918 M parameters in batches of 32 needs at least .* of memory, there are .*; use a smaller batch/,
  );
  expect(existsSync(directory)).toBe(false);
});

it('messages stay short and name the file, whatever is written for a value', async () => {
  const huge = [
    JSON.stringify('x'.repeat(100_000)),
    JSON.stringify(new Array(50_000).fill('y')),
    `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`,
  ];
  for (const value of huge) {
    for (const [file, field] of [
      ...counts.filter((_, i) => i % 4 === 0),
      [UNET, 'down_block_types'],
      [UNET, 'act_fn'],
      [UNET, 'x'.repeat(10_000)],
    ] as const) {
      const original = readFileSync(join(model, file));
      set(file, field, value);
      expect(await refusal(load)).toMatch(new RegExp(`^${join(model, file.split('/')[0]!)}: `));
      writeFileSync(join(model, file), original);
    }
  }
});
