/** `lcm convert`: a model as a diffusers directory, with its weights in another type, or with other parts. */
import { Command } from 'commander';
import { convertModel } from '../../components/node/convert-model.ts';
import { openModel } from '../../components/node/open-model.ts';
import { said, UsageError } from '../../errors.ts';
import { guessAbout } from '../../pipelines/node/opened-model.ts';
import type { StorageDType } from '../../weights/convert.ts';
import { flagOf } from '../options/flag-names.ts';
import {
  type CheckpointOptions,
  type PartOptions,
  withCheckpointOptions,
  withPartOptions,
} from '../options/model.ts';
import { oneOf } from '../options/values.ts';
import { createReporter } from '../progress.ts';

const dtypes: readonly StorageDType[] = ['float32', 'float16', 'bfloat16'];

interface Options extends PartOptions, CheckpointOptions {
  readonly dtype: StorageDType;
  readonly out?: string;
  readonly json?: boolean;
}

export function convertCommand(signal: AbortSignal): Command {
  const command = new Command('convert')
    .description(
      'Writes a model as a diffusers directory, with its weights in another type; float16 halves the files.',
    )
    .argument('<model>', 'a diffusers directory, a .safetensors checkpoint, or a pulled owner/name')
    .option('--dtype <type>', dtypes.join(', '), oneOf('--dtype', dtypes), 'float16');
  return withCheckpointOptions(withPartOptions(command))
    .option('--out <dir>', 'the folder to write, which must not exist yet')
    .option('--json', 'report as one JSON line')
    .action((model: string, options: Options) => convert(model, options, signal));
}

async function convert(name: string, options: Options, signal: AbortSignal): Promise<void> {
  const { dtype, unet, vae, out } = options;
  if (out === undefined) throw new UsageError('--out is missing: name the folder to write');
  const reporter = createReporter({ json: options.json });
  const model = await openModel(name, options);
  const guess = guessAbout(model);
  if (guess !== undefined) reporter.warn(said(guess, ({ setting }) => flagOf(setting)));
  const leftOut = await convertModel(model, out, { dtype, signal });
  for (const { part, reason } of leftOut)
    reporter.note(`without its ${part}, which drawing does not need: ${reason}`);
  reporter.event('converted', { model: name, out, dtype, unet, vae, leftOut });
  reporter.print(`${out}: ${name} in ${dtype}`);
}
