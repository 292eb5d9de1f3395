import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { input } from '../graph/tensor.ts';
import { DeclaredParams, type Params } from '../layers/params.ts';
import * as kl from './autoencoder-kl.ts';
import * as tiny from './autoencoder-tiny.ts';
import { clipText, clipTextConfig } from './clip-text.ts';
import { postcards, stableDiffusion15 } from './presets.ts';
import { unet2DCondition } from './unet-2d-condition.ts';
import { type UNet2DConditionConfig, unet2DConditionConfig } from './unet-2d-condition-config.ts';

function count(write: (p: Params) => unknown): number {
  const declared = new DeclaredParams();
  write(declared.params);
  return declared.count;
}

const unetCount = (config: UNet2DConditionConfig) =>
  count((p) =>
    unet2DCondition(config, p, {
      sample: input('sample', [1, 4, 16, 16]),
      timestep: input('timestep', [1]),
      encoderHiddenStates: input('states', [1, 7, config.cross_attention_dim]),
      timestepCond: config.time_cond_proj_dim
        ? input('timestepCond', [1, config.time_cond_proj_dim])
        : undefined,
    }),
  );

describe('the presets of postcards are the embedded model', () => {
  const stored = (part: string): unknown =>
    JSON.parse(
      readFileSync(join(import.meta.dirname, '../../models/postcards', part, 'config.json'), 'utf8'),
    );
  it('vae', () => {
    const { scaling_factor } = kl.autoencoderKLConfig(stored('vae'));
    expect(kl.autoencoderKLConfig(stored('vae'))).toEqual({ ...postcards.vae.config, scaling_factor });
  });
  it('unet', () => expect(unet2DConditionConfig(stored('unet'))).toEqual(postcards.unetLCM.config));
  it('text encoder', () =>
    expect(clipTextConfig(stored('text_encoder'))).toEqual(postcards.textEncoder.config));
});

const pixels = input('pixels', [1, 3, 64, 64]);
const latents = input('latents', [1, 4, 8, 8]);
const ids = input('ids', [1, 7], 'int64');

describe.each([
  ['postcards', postcards],
  ['Stable Diffusion 1.5', stableDiffusion15],
])('%s has the stated number of parameters', (_, models) => {
  it('vae', () => {
    const encoder = count((p) => kl.encode(models.vae.config, p, pixels));
    const decoder = count((p) => kl.decode(models.vae.config, p, latents));
    expect(encoder + decoder).toBe(models.vae.parameters);
  });
  it('unet', () => expect(unetCount(models.unet.config)).toBe(models.unet.parameters));
  it('unet with guidance embedding', () =>
    expect(unetCount(models.unetLCM.config)).toBe(models.unetLCM.parameters));
  it('text encoder', () =>
    expect(count((p) => clipText(models.textEncoder.config, p, ids))).toBe(models.textEncoder.parameters));
});

it('TAESD has the stated number of parameters', () => {
  const { config, parameters } = stableDiffusion15.taesd;
  const encoder = count((p) => tiny.encode(config, p, pixels));
  const decoder = count((p) => tiny.decode(config, p, latents));
  expect(encoder + decoder).toBe(parameters);
});
