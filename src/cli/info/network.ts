/** `lcm info` of a network alone: an autoencoder in a file, or the folder of one part of a diffusers directory. */

import { brief, shown } from '../../messages.ts';
import type { ModelFolder } from '../../weights/model-folder.ts';
import { filesOf } from '../../weights/node/file-hash.ts';
import { foreignNames } from '../../weights/weights.ts';
import type { Reporter } from '../progress.ts';
import { filesFacts, printFiles, printForeign, printMetadata } from './files.ts';
import { line, summarize, summaryText } from './numbers.ts';

export interface NetworkAlone extends Pick<ModelFolder, 'className' | 'config' | 'weights'> {
  /** Of a file's header. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export async function describeNetwork(
  path: string,
  { className, config, weights, metadata = {} }: NetworkAlone,
  { reporter, signal }: { reporter: Reporter; signal: AbortSignal },
): Promise<void> {
  const summary = summarize(weights);
  reporter.print(`${path}: ${className}`);
  reporter.print(line('weights', summaryText(summary)));
  for (const [field, value] of Object.entries(config)) {
    if (field.startsWith('_') || value === null) continue;
    reporter.print(line('config', `${brief(field)}: ${shown(value)}`));
  }
  const foreign = foreignNames(weights);
  printForeign(foreign, reporter);
  printMetadata(metadata, reporter);
  const files = await filesFacts(filesOf(weights), { reporter, signal });
  printFiles(files, reporter);
  reporter.event('network', { path, class: className, ...summary, foreign, config, metadata, files });
}
