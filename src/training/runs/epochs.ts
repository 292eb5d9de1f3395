/** Passes over the pictures of a folder, as updates. */
import { mention, mentioning, SettingError } from '../../errors.ts';
import { openImageFolder } from '../folder/image-folder.ts';
import type { RunConfig } from './config.ts';

/** The settings with the updates that `epochs` come to. Throws SettingError for pictures without an end. */
export async function withEpochs<Config extends RunConfig>(config: Config): Promise<Config> {
  const { epochs, data, batch, accumulate } = config;
  if (epochs === null) return config;
  if (data.kind !== 'folder') {
    const steps = mention('steps');
    throw new SettingError(
      'epochs',
      'epochs',
      mentioning`${epochs}: postcards have no end; say how many ${steps}, or train on a folder`,
    );
  }
  const { path, resolution, captionColumn, labels } = data;
  const { train } = await openImageFolder({ path, resolution, captionColumn, labels });
  return { ...config, steps: Math.max(1, Math.ceil((epochs * train.size) / (batch * accumulate))) };
}
