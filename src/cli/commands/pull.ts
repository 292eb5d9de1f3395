/** `lcm pull`: a model from the hub into the cache. */
import { Command } from 'commander';
import { pullModel } from '../../hub/node/pull.ts';
import { createReporter, megabytes } from '../progress.ts';

interface PullCommandOptions {
  readonly revision?: string;
  readonly variant?: string;
  readonly file?: string[];
  readonly json?: boolean;
}

export function pullCommand(signal: AbortSignal): Command {
  return new Command('pull')
    .description(
      'Downloads a model from the Hugging Face hub, only the files that are needed. An interrupted download goes on where it stopped.',
    )
    .argument('<id>', 'owner/name')
    .option('--revision <name>', 'a branch, a tag or a commit (default: main)')
    .option('--variant <name>', 'which weights, where there are several, e.g. fp16')
    .option(
      '--file <path>',
      'only this file; may be given several times',
      (path: string, paths: string[] = []) => [...paths, path],
    )
    .option('--json', 'report as one JSON line')
    .action(async (id: string, { revision, variant, file, json }: PullCommandOptions) => {
      const reporter = createReporter({ json });
      const folder = await pullModel(id, {
        revision,
        variant,
        files: file,
        signal,
        onProgress: ({ path, received, size }) =>
          reporter.progress({
            label: 'downloading',
            done: megabytes(received),
            total: megabytes(size),
            unit: 'MB',
            detail: path,
          }),
        onWait: ({ seconds, reason }) => {
          reporter.note(`waiting ${Math.ceil(seconds)} s: ${reason}`);
          reporter.event('waiting', { seconds, reason });
        },
      });
      reporter.event('model', { id, revision: revision ?? 'main', folder });
      reporter.print(folder);
    });
}
