/** `lcm train`: the stages before distillation. */
import { Command } from 'commander';
import {
  autoencoderRunConfig,
  planAutoencoder,
  trainAutoencoder,
} from '../../training/runs/train-autoencoder.ts';
import { oneOf } from '../option-values.ts';
import { addTrainingOptions, runTraining, type TrainingOptions } from '../training.ts';

interface AutoencoderOptions extends TrainingOptions {
  readonly part?: 'all' | 'decoder';
  readonly initial?: string;
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
      .option('--initial <dir>', 'a diffusers directory whose vae the training starts from'),
  ).action((options: AutoencoderOptions) =>
    runTraining(
      { configure: autoencoderRunConfig, plan: planAutoencoder, train: trainAutoencoder },
      options,
      { part: options.part, initial: options.initial },
      signal,
    ),
  );
  return new Command('train')
    .description('Trains the parts of a model, one after the other.')
    .addCommand(autoencoder);
}
