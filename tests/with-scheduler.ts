import type { ModelFiles } from '../src/components/model-files.ts';
import type { SchedulerConfig } from '../src/diffusion/samplers/index.ts';

interface OwnScheduler {
  /** Fields of its configuration, besides those that the model's file has. */
  readonly fields?: SchedulerConfig | undefined;
  /** The whole of it, in place of the model's file. */
  readonly config?: SchedulerConfig | undefined;
}

/** A model whose own scheduler is another. */
export function withScheduler(
  files: ModelFiles,
  className: string,
  { fields, config }: OwnScheduler = {},
): ModelFiles {
  return {
    ...files,
    classes: new Map([...files.classes, ['scheduler', className]]),
    text: async (path) => {
      const text = await files.text(path);
      if (path !== 'scheduler/scheduler_config.json') return text;
      return JSON.stringify({ ...(config ?? JSON.parse(text!)), ...fields });
    },
  };
}
