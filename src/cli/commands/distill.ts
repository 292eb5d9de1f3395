/** `lcm distill`: a latent consistency model from a diffusion model. */
import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { consistencyTraining } from '../../training/runs/distill.ts';
import { addTrainingOptions, runTraining, type TrainingOptions } from '../training.ts';

interface Options extends TrainingOptions {
  readonly teacher?: string;
}

export function distillCommand(signal: AbortSignal): Command {
  return addTrainingOptions(
    new Command('distill')
      .description(
        'Distils a diffusion model into a latent consistency model, which needs one to four steps.',
      )
      .option('--teacher <dir>', 'a diffusion model: a directory, a single file, or its name on the hub'),
  ).action((options: Options) =>
    runTraining(
      { kind: consistencyTraining, check: requireTeacher },
      options,
      { teacher: options.teacher },
      signal,
    ),
  );
}

function requireTeacher({ teacher }: JsonObject): void {
  if (teacher !== undefined && teacher !== '') return;
  throw new UsageError(
    '--teacher is missing: name the folder of a diffusion model, e.g. what "lcm train diffusion" wrote',
  );
}
