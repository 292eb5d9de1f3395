/** `--unet` and `--vae`: parts in place of a model's own. */
import type { Command } from 'commander';

export interface PartOptions {
  readonly unet?: string | undefined;
  readonly vae?: string | undefined;
}

/** Adds the options to a command, which is returned. */
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
