/** `lcm train`: the stages of a model, one by one. */
import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { autoencoderSettings } from '../../training/runs/autoencoder-config.ts';
import { diffusionSettings } from '../../training/runs/diffusion-config.ts';
import { textSettings } from '../../training/runs/text-config.ts';
import { autoencoderTraining } from '../../training/runs/train-autoencoder.ts';
import { diffusionTraining } from '../../training/runs/train-diffusion.ts';
import { textTraining } from '../../training/runs/train-text.ts';
import { addTrainingOptions, runTraining, type TrainingOptions } from '../training.ts';
import { consistencyCommand } from './distill.ts';
import { judgeCommand } from './train-judge.ts';
import { withStages } from './train-stages.ts';

export function trainCommand(signal: AbortSignal): Command {
  const autoencoder = addTrainingOptions(
    new Command('autoencoder')
      .summary('pictures to latents and back')
      .description('Trains an AutoencoderKL, or the decoder of one that was trained.'),
    autoencoderSettings('all'),
  ).action((options: TrainingOptions) => runTraining({ kind: autoencoderTraining }, options, signal));
  const diffusion = addTrainingOptions(
    new Command('diffusion')
      .summary('sentences to latents')
      .description('Trains a latent diffusion model: UNet and text encoder, on latents of an autoencoder.'),
    diffusionSettings,
  ).action((options: TrainingOptions) =>
    runTraining({ kind: diffusionTraining, check: requireVae }, options, signal),
  );
  const text = addTrainingOptions(
    new Command('text')
      .summary('captions to what they tell')
      .description(
        'Trains a text encoder of postcards alone, to start a diffusion training with ("initialText"): it needs no pictures.',
      ),
    textSettings,
  ).action((options: TrainingOptions) => runTraining({ kind: textTraining }, options, signal));
  const train = new Command('train').description(
    'Trains a model on a folder of pictures, all stages of it; or one stage, by its name.',
  );
  return withStages(train, signal)
    .addCommand(autoencoder)
    .addCommand(text)
    .addCommand(diffusion)
    .addCommand(consistencyCommand('consistency', signal))
    .addCommand(judgeCommand(signal));
}

function requireVae({ vae }: JsonObject): void {
  if (vae !== undefined && vae !== '') return;
  throw new UsageError('--vae is missing: name the folder that "lcm train autoencoder" wrote, its model');
}
