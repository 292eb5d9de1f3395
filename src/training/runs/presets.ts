/**
 * Ways to a consistency model, and what goes with them, as settings by name: what differs from the defaults, which are
 * those of postcards. Learning rates, batches and updates are the sources'; a smaller machine takes fewer of them.
 */
import type { JsonObject } from '../../files/json.ts';

export interface Preset {
  /** What it makes. */
  readonly words: string;
  readonly source: string;
  /** What the source reached with it. */
  readonly reaches: string;
  /** And what that took. */
  readonly cost: string;
  readonly settings: JsonObject;
}

/** AdamW as the sources leave it, at one rate after a warm-up. */
const constant = (learningRate: number, warmupSteps = 500) => ({
  ...{ learningRate, betas: [0.9, 0.999], weightDecay: 0 },
  schedule: { kind: 'constant', warmupSteps },
});

/** Without a teacher: the student is its own target, at σ as in the papers. */
const alone = { stepBack: 'data', target: 'student', distance: { kind: 'huber-sample' } };

export const presets = {
  lcm: {
    words: 'a latent consistency model of all weights, which is told the guidance scale',
    source: 'Luo et al. 2023',
    reaches:
      'FID 35.4, 13.3 and 11.1 at 1, 2 and 4 steps of 512×512 pixels after 100,000 updates (DDIM: 22.4 at 4)',
    cost: '4,000 updates of 72 pictures, 32 hours of an A100; 4 UNet passes and a backward one each',
    settings: {
      ...{ steps: 4000, batch: 72, guidance: { min: 2, max: 14 }, pureNoise: 0 },
      optimizer: constant(8e-6),
    },
  },
  'lcm-lora': {
    words: 'a LoRA that makes its model, and relatives of it, draw in few steps',
    source: 'Luo et al. 2023b',
    reaches: '4 steps in place of 25 at about the quality of 4 to 8 steps of a whole LCM',
    cost: '1,000 updates of 12 pictures (diffusers); 67 M trained numbers on Stable Diffusion 1.5',
    settings: {
      ...{ steps: 1000, batch: 12, guidance: { min: 7.5, max: 7.5 }, pureNoise: 0 },
      ...{ lora: { rank: 64, alpha: 64 }, optimizer: constant(1e-4) },
    },
  },
  lcf: {
    words: 'a latent consistency model, named as the teacher, goes on with other pictures',
    source: 'Luo et al. 2023, section 4.4',
    reaches: 'the style of a small data set, still in 4 steps',
    cost: '2 UNet passes and a backward one for each update',
    settings: {
      ...{ steps: 30_000, batch: 32, stepBack: 'data', guidance: { min: 2, max: 14 }, pureNoise: 0 },
      optimizer: constant(8e-6),
    },
  },
  ict: {
    words: "a consistency model from random weights; the teacher's text encoder and autoencoder stay",
    source: 'Song and Dhariwal 2023',
    reaches: 'FID 2.51 and 2.24 in 1 and 2 steps on CIFAR-10, of pixels, with its deeper network',
    cost: '400,000 updates of 1,024 pictures; 2 UNet passes and a backward one each',
    settings: {
      ...alone,
      ...{ steps: 400_000, batch: 1024, start: 'random', pairs: { kind: 'karras' }, ema: 0.99993 },
      ...{ pureNoise: 0, optimizer: constant(1e-4, 0) },
    },
  },
  ect: {
    words: 'a consistency model from a diffusion model and data, without a step of the teacher',
    source: 'Geng et al. 2024',
    reaches: 'FID 3.60 and 2.11 in 1 and 2 steps on CIFAR-10, of pixels',
    cost: '400,000 updates of 128 pictures; 2 UNet passes and a backward one each',
    settings: {
      ...alone,
      ...{ steps: 400_000, batch: 128, pairs: { kind: 'continuous' }, ema: 0.9999 },
      ...{ pureNoise: 0, optimizer: constant(1e-4, 0) },
    },
  },
  diffusion: {
    words: 'the teacher goes on as a diffusion model with other pictures',
    source: "diffusers' train_text_to_image.py; min-SNR: Hang et al. 2023",
    reaches: 'the style and the subjects of the pictures',
    cost: '15,000 updates of 4 pictures; 1 UNet pass and a backward one each',
    settings: {
      ...{ objective: 'diffusion', steps: 15_000, batch: 4, captionDropout: 0.1, minSnrGamma: 5 },
      ...{ pureNoise: 0, ema: 0.9999, optimizer: constant(1e-5) },
    },
  },
  'style-lora': {
    words: 'an ordinary LoRA of a style or a subject, for use with an LCM-LoRA or without',
    source: "Hu et al. 2021; diffusers' train_text_to_image_lora.py",
    reaches: 'a style from some twenty pictures on',
    cost: '1,500 updates of 4 pictures; 1 UNet pass and a backward one each',
    settings: {
      ...{ objective: 'diffusion', steps: 1500, batch: 4, captionDropout: 0.1, minSnrGamma: 5 },
      ...{ lora: { rank: 16, alpha: 16, layers: 'attention' } },
      ...{ pureNoise: 0, ema: 0.99, optimizer: constant(1e-4, 100) },
    },
  },
} as const satisfies Readonly<Record<string, Preset>>;

export const presetNames = Object.keys(presets) as [keyof typeof presets, ...(keyof typeof presets)[]];
