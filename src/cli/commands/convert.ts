/** `lcm convert`: a model with its weights in another type, or with another VAE. */
import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import type { StorageDType } from '../../weights/convert.ts';
import { convertDiffusersDirectory } from '../../weights/node/convert-diffusers.ts';
import { oneOf } from '../option-values.ts';
import { createReporter } from '../progress.ts';

const dtypes: readonly StorageDType[] = ['float32', 'float16', 'bfloat16'];

interface Options {
  readonly dtype: StorageDType;
  readonly vae?: string;
  readonly out?: string;
  readonly json?: boolean;
}

export function convertCommand(signal: AbortSignal): Command {
  return new Command('convert')
    .description('Writes a model with its weights in another type; float16 halves the files.')
    .argument('<model>', 'a diffusers directory')
    .option('--dtype <type>', dtypes.join(', '), oneOf('--dtype', dtypes), 'float16')
    .option('--vae <dir>', 'the folder of an autoencoder to take in place of its own')
    .option('--out <dir>', 'the folder to write, which must not exist yet')
    .option('--json', 'report as one JSON line')
    .action(async (model: string, { dtype, vae, out, json }: Options) => {
      if (out === undefined) throw new UsageError('--out is missing: name the folder to write');
      await convertDiffusersDirectory(model, out, { dtype, ...(vae && { replacements: { vae } }), signal });
      const reporter = createReporter({ json });
      reporter.event('converted', { model, out, dtype });
      reporter.print(`${out}: ${model} in ${dtype}`);
    });
}
