import { describe, expect, it } from 'vitest';
import { UsageError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { autoencoderRunConfig } from './autoencoder-config.ts';
import { diffusionRunConfig } from './diffusion-config.ts';
import { distillationRunConfig } from './distillation-config.ts';
import { judgeRunConfig } from './judge-config.ts';

const diffusion = (given: JsonObject) => diffusionRunConfig({ vae: 'runs/ae/model', ...given });
const distillation = (given: JsonObject) => distillationRunConfig({ teacher: 'runs/ldm/model', ...given });

/** The message of the UsageError that these settings give. */
function refusal(configure: (given: JsonObject) => unknown, given: JsonObject): string {
  try {
    configure(given);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message.length).toBeLessThan(500);
    return (error as Error).message;
  }
  throw new Error(`${JSON.stringify(given)} was accepted`);
}

describe('settings of runs', () => {
  it('are laid over the defaults, objects field by field', () => {
    const config = autoencoderRunConfig({
      batch: 4,
      optimizer: { learningRate: 1 },
      model: { block_out_channels: [8, 8, 8] },
    });
    const defaults = autoencoderRunConfig();
    expect(config).toEqual({
      ...defaults,
      batch: 4,
      optimizer: { ...defaults.optimizer, learningRate: 1 },
      model: { ...defaults.model, block_out_channels: [8, 8, 8] },
    });
    expect(defaults).toMatchObject({ steps: 1778, model: { scaling_factor: 1, norm_num_groups: 8 } });
    expect(autoencoderRunConfig({ part: 'decoder', initial: 'folder' })).toMatchObject({
      steps: 658,
      optimizer: { learningRate: 1e-3 },
      loss: { mse: 4, kl: 0, klReduction: 'element' },
    });
    expect(judgeRunConfig()).toMatchObject({
      optimizer: { maxGradientNorm: 5 },
      cadence: { sampleEvery: 0 },
    });
  });

  it('read back as they were stored', () => {
    for (const [configure, given] of [
      [autoencoderRunConfig, { part: 'decoder', initial: 'x' }],
      [diffusion, { data: { path: 'pictures' } }],
      [distillation, { lora: {} }],
      [judgeRunConfig, {}],
    ] as const) {
      const config = configure(given);
      expect(configure(JSON.parse(JSON.stringify(config)))).toEqual(config);
    }
  });

  it('grow what there is, and all of it', () => {
    for (const given of [{ grow: true }, { grow: true, initial: 'x', part: 'decoder' }]) {
      expect(refusal(autoencoderRunConfig, given)).toMatch(
        /^an autoencoder that is to grow .* needs a smaller one/,
      );
    }
    expect(autoencoderRunConfig({ grow: true, initial: 'x' }).grow).toBe(true);
  });

  it('know the kind of data by what is said of them', () => {
    expect(diffusion({}).data).toEqual({ kind: 'postcards', seed: 0, size: 64, positionProbability: 0.5 });
    const folder = {
      kind: 'folder',
      path: 'pictures',
      resolution: 64,
      labels: 'auto',
      unconditional: false,
      buckets: null,
      crop: 'center',
      flip: false,
      captionColumn: null,
    };
    expect(diffusion({ data: { path: 'pictures' } }).data).toEqual(folder);
    expect(diffusion({ data: { kind: 'folder', path: 'pictures' } }).data).toEqual(folder);
  });

  it('take the rank of a LoRA as its alpha', () => {
    expect(distillation({ lora: { rank: 8 } }).lora).toMatchObject({ rank: 8, alpha: 8 });
    expect(distillation({ lora: { rank: 8, alpha: 4 } }).lora).toMatchObject({ rank: 8, alpha: 4 });
    expect(distillation({ lora: {} }).lora).toMatchObject({ rank: 64, alpha: 64 });
  });

  it('are refused when there are none of that name, wherever', () => {
    expect(refusal(autoencoderRunConfig, { stpes: 3 })).toMatch(
      /^there is no training setting "stpes"; there are data, steps, .*; did you mean "steps"\?$/,
    );
    const cases: [given: JsonObject, name: string][] = [
      [{ optimizer: { rate: 1 } }, 'optimizer.rate'],
      [{ lora: { rank: 8, target: ['to_q'] } }, 'lora.target'],
      [{ data: { kind: 'postcards', path: 'x' } }, 'data.path'],
      [{ data: { path: 'x', size: 64 } }, 'data.size'],
      [{ toString: 5 }, 'toString'],
      [{ constructor: { a: 1 } }, 'constructor'],
      [JSON.parse('{"optimizer": {"__proto__": {"a": 1}}}'), 'optimizer.__proto__'],
    ];
    for (const [given, name] of cases) {
      expect(refusal(distillation, given)).toContain(`there is no training setting "${name}"; there are `);
    }
    expect(refusal(diffusion, { unet: { block_out_channel: [8] } })).toMatch(
      /the setting "unet": .*block_out_channel is \[8\]; expected no such field/,
    );
  });

  it('are refused when they are of another type or out of range', () => {
    const cases: [given: JsonObject, message: string][] = [
      [{ steps: 'many' }, '"steps" is "many"; expected a whole number from 1 on'],
      [{ steps: -5 }, '"steps" is -5; expected a whole number from 1 on'],
      [{ batch: 2.5 }, '"batch" is 2.5; expected a whole number from 1 on'],
      [{ seed: 'a' }, '"seed" is "a"; expected a whole number from 0 on'],
      [{ ema: 1 }, '"ema" is 1; expected a number from 0 and below 1'],
      [{ ema: Number.NaN }, '"ema" is NaN; expected'],
      [{ optimizer: null }, '"optimizer" is null; expected an object with learningRate, '],
      [
        { optimizer: { learningRate: Number.POSITIVE_INFINITY } },
        '"optimizer.learningRate" is Infinity; expected a number above 0',
      ],
      [{ optimizer: { maxGradientNorm: 0 } }, '"optimizer.maxGradientNorm" is 0; expected a number above 0'],
      [{ optimizer: { epsilon: -1 } }, '"optimizer.epsilon" is -1; expected a number above 0'],
      [
        { optimizer: { schedule: { kind: 'linear' } } },
        '"optimizer.schedule.kind" is "linear"; expected "constant" or "cosine"',
      ],
      [{ optimizer: { betas: [0.9] } }, '"optimizer.betas" is [0.9]; expected a list of two numbers'],
      [{ optimizer: { betas: [0.9, 1] } }, '"optimizer.betas.1" is 1; expected a number from 0 and below 1'],
      [
        { cadence: { checkpointEverySteps: 'x' } },
        '"cadence.checkpointEverySteps" is "x"; expected a whole number from 1 on',
      ],
      [{ cadence: { logEvery: 0 } }, '"cadence.logEvery" is 0; expected a whole number from 1 on'],
      [{ lora: true }, '"lora" is true; expected null, or an object with rank, alpha'],
      [{ lora: { rank: 0 } }, '"lora.rank" is 0; expected a whole number from 1 on'],
      [{ data: null }, '"data" is null; expected an object such as {"kind": "folder", "path": '],
      [{ data: 'pictures' }, '"data" is "pictures"; expected an object such as {"kind": "folder", "path": '],
      [{ data: { kind: 'images' } }, 'expected data of the kind "postcards" or "folder"'],
      [{ data: { kind: 'folder' } }, '"data.path" is missing; expected a text: the folder'],
      [
        { data: { path: 'x', resolution: '64' } },
        '"data.resolution" is "64"; expected a whole number from 8 to 4096',
      ],
      [{ latents: { file: '' } }, '"latents.file" is ""; expected a text'],
      [{ distance: 5 }, '"distance" is 5; expected an object with kind, c'],
      [
        { teacher: ['x'.repeat(1000)] },
        `"teacher" is ["${'x'.repeat(77)}…; expected a text: a diffusers folder`,
      ],
    ];
    for (const [given, message] of cases) expect(refusal(distillation, given)).toContain(message);
    expect(refusal(autoencoderRunConfig, { loss: 5 })).toContain('"loss" is 5; expected an object with l1, ');
    expect(refusal(autoencoderRunConfig, { model: { layers_per_block: 'x' } })).toMatch(
      /"model": .*layers_per_block is "x"; expected a positive integer/,
    );
    expect(refusal(judgeRunConfig, { data: { path: 'x' } })).toMatch(/"data.kind" is "folder"; expected/);
  });

  it('are refused when they are missing or do not go together', () => {
    expect(refusal(diffusionRunConfig, {})).toMatch(/"vae" is missing; expected a text: a diffusers folder/);
    expect(refusal(autoencoderRunConfig, { part: 'decoder' })).toMatch(/--initial/);
    expect(refusal(distillation, { guidance: { min: 3, max: 1 } })).toBe(
      'the setting "guidance": min is 3, max 1; min may not be the larger one',
    );
    expect(refusal(distillation, { stepBack: 'data', lora: { rank: 1 } })).toMatch(
      /set stepBack to "teacher"/,
    );
    expect(refusal(diffusion, { timesteps: { tilt: 0.5, to: 1000 } })).toMatch(/timesteps 0 to 999/);
  });
});
