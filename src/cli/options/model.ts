/** The options that say more of a model than its name: parts in place of its own, and what a checkpoint leaves open. */
import type { Command } from 'commander';
import { type PredictionType, predictionTypes } from '../../diffusion/prediction.ts';
import { oneOf } from './values.ts';

export interface PartOptions {
  readonly unet?: string | undefined;
  readonly vae?: string | undefined;
}

export interface CheckpointOptions {
  readonly tokenizer?: string;
  readonly config?: string;
  readonly predictionType?: PredictionType;
}

/** Adds `--unet` and `--vae` to a command, which is returned. */
export function withPartOptions(command: Command): Command {
  return command
    .option(
      '--unet <path>',
      "a UNet in place of the model's own, such as an LCM that was published without the rest: a folder, a file, or a pulled owner/name. One with a guidance embedding makes the scheduler lcm",
    )
    .option(
      '--vae <path>',
      "an autoencoder in place of the model's own: a folder, a file, or a pulled owner/name",
    );
}

/** Adds `--tokenizer`, `--config` and `--prediction-type` to a command, which is returned. */
export function withCheckpointOptions(command: Command): Command {
  return command
    .option('--tokenizer <dir>', 'a CLIP tokenizer, for checkpoints that come without one')
    .option(
      '--config <path>',
      "a diffusers directory of a checkpoint's kind, or a UNet's config.json, for what its weights do not tell",
    )
    .option(
      '--prediction-type <type>',
      `${predictionTypes.join(', ')}: what the UNet predicts, for models that do not say (default: v_prediction for a checkpoint of Stable Diffusion 2 that is neither for inpainting nor, by its global_step, the base model; else epsilon)`,
      oneOf('--prediction-type', predictionTypes),
    );
}
