import type { ModelFiles } from '../src/components/model-files.ts';
import type { SchedulerConfig } from '../src/diffusion/samplers/index.ts';

/** A model whose own scheduler is another class, with these fields in its configuration besides those that it has. */
export function withScheduler(
  files: ModelFiles,
  className: string,
  fields: SchedulerConfig = {},
): ModelFiles {
  return {
    ...files,
    classes: new Map([...files.classes, ['scheduler', className]]),
    text: async (path) => {
      const text = await files.text(path);
      if (path !== 'scheduler/scheduler_config.json') return text;
      return JSON.stringify({ ...JSON.parse(text!), ...fields });
    },
  };
}
