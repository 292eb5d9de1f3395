import { describe, expect, it } from 'vitest';
import { UsageError } from '../../errors.ts';
import { withDefaults } from './config.ts';
import { distillationRunConfig } from './distill.ts';
import { plan } from './recipe.ts';
import { autoencoderDefaults, autoencoderRunConfig } from './train-autoencoder.ts';
import { diffusionRunConfig, diffusionTraining } from './train-diffusion.ts';

describe('settings of runs', () => {
  it('lays given values over the defaults, objects field by field', () => {
    const config = autoencoderRunConfig({ batch: 4, optimizer: { learningRate: 1 } });
    expect(config).toEqual({
      ...autoencoderDefaults,
      batch: 4,
      optimizer: { ...autoencoderDefaults.optimizer, learningRate: 1 },
    });
    expect(autoencoderRunConfig({ part: 'decoder', initial: 'folder' })).toMatchObject({
      steps: 658,
      loss: { kl: 0 },
    });
  });

  it('refuses a setting that does not exist, and says where', () => {
    expect(() => withDefaults({ a: { b: 1 } }, { a: { c: 2 } } as object)).toThrow(
      /no training setting "a.c"/,
    );
  });

  it('refuses what does not go together or is missing', async () => {
    expect(() => autoencoderRunConfig({ part: 'decoder' })).toThrow(UsageError);
    expect(() => distillationRunConfig({ guidance: { min: 3, max: 1 } })).toThrow(/min is 3, max 1/);
    expect(() => distillationRunConfig({ stepBack: 'data', lora: { rank: 1, alpha: 1 } })).toThrow(
      UsageError,
    );
    await expect(plan(diffusionTraining, diffusionRunConfig())).rejects.toThrow(/"vae" is missing/);
  });
});
