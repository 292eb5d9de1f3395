/** `lcm train`: the stages before distillation. */
import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { autoencoderTraining } from '../../training/runs/train-autoencoder.ts';
import { diffusionTraining } from '../../training/runs/train-diffusion.ts';
import { textTraining } from '../../training/runs/train-text.ts';
import { oneOf } from '../options/values.ts';
import { addTrainingOptions, runTraining, type TrainingOptions } from '../training.ts';
import { judgeCommand } from './train-judge.ts';

interface AutoencoderOptions extends TrainingOptions {
  readonly part?: 'all' | 'decoder';
  readonly initial?: string;
}

interface DiffusionOptions extends TrainingOptions {
  readonly vae?: string;
}

export function trainCommand(signal: AbortSignal): Command {
  const autoencoder = addTrainingOptions(
    new Command('autoencoder')
      .summary('pictures to latents and back')
      .description('Trains an AutoencoderKL, or the decoder of one that was trained.')
      .option(
        '--part <name>',
        'all, or decoder: leaves the latents as they are',
        oneOf('--part', ['all', 'decoder']),
      )
      .option('--initial <dir>', 'an autoencoder to start from: a model, a folder or a file'),
  ).action((options: AutoencoderOptions) =>
    runTraining(
      { kind: autoencoderTraining },
      options,
      { part: options.part, initial: options.initial },
      signal,
    ),
  );
  const diffusion = addTrainingOptions(
    new Command('diffusion')
      .summary('sentences to latents')
      .description('Trains a latent diffusion model: UNet and text encoder, on latents of an autoencoder.')
      .option('--vae <dir>', 'the autoencoder that makes the latents: a model, a folder or a file'),
  ).action((options: DiffusionOptions) =>
    runTraining({ kind: diffusionTraining, check: requireVae }, options, { vae: options.vae }, signal),
  );
  const text = addTrainingOptions(
    new Command('text')
      .summary('captions to what they tell')
      .description(
        'Trains a text encoder of postcards alone, to start a diffusion training with ("initialText"): it needs no pictures.',
      ),
  ).action((options: TrainingOptions) => runTraining({ kind: textTraining }, options, {}, signal));
  return new Command('train')
    .description('Trains the parts of a model, one after the other.')
    .addCommand(autoencoder)
    .addCommand(text)
    .addCommand(diffusion)
    .addCommand(judgeCommand(signal));
}

function requireVae({ vae }: JsonObject): void {
  if (vae !== undefined && vae !== '') return;
  throw new UsageError('--vae is missing: name the folder that "lcm train autoencoder" wrote, its model');
}
