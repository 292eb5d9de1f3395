/** `lcm distill`, and `lcm train consistency`: a latent consistency model from a diffusion model. */
import { Command } from 'commander';
import { UsageError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { consistencyTraining } from '../../training/runs/distill.ts';
import { distillationSettings } from '../../training/runs/distillation-config.ts';
import { addTrainingOptions, runTraining, type TrainingOptions } from '../training.ts';

/** `lcm distill` is the stage under the name that says what it does with a teacher. */
export function distillCommand(signal: AbortSignal): Command {
  return consistencyCommand('distill', signal);
}

export function consistencyCommand(name: 'distill' | 'consistency', signal: AbortSignal): Command {
  return addTrainingOptions(
    new Command(name)
      .summary('a diffusion model in few steps')
      .description(
        'Distils a diffusion model into a latent consistency model, which needs one to four steps; or into a LoRA for it.',
      ),
    distillationSettings,
  ).action((options: TrainingOptions) =>
    runTraining({ kind: consistencyTraining, check: requireTeacher }, options, signal),
  );
}

function requireTeacher({ teacher }: JsonObject): void {
  if (teacher !== undefined && teacher !== '') return;
  throw new UsageError(
    '--teacher is missing: name the folder of a diffusion model, e.g. what "lcm train diffusion" wrote',
  );
}
