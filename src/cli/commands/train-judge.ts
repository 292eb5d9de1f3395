/** `lcm train judge`: the classifier with which `lcm evaluate` measures models of postcards. */
import { Command } from 'commander';
import { judgeSettings } from '../../training/runs/judge-config.ts';
import { judgeTraining } from '../../training/runs/train-judge.ts';
import { addTrainingOptions, runTraining, type TrainingOptions } from '../training.ts';

export function judgeCommand(signal: AbortSignal): Command {
  return addTrainingOptions(
    new Command('judge')
      .summary('what evaluation asks about pictures')
      .description(
        'Trains the classifier that lcm evaluate asks what postcards show, and says how often it is right.',
      ),
    judgeSettings,
  ).action((options: TrainingOptions) => runTraining({ kind: judgeTraining }, options, signal));
}
