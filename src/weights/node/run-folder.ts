/** Folders of trainings, which people name where the model in them is meant. */
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { isFile, pathKind } from '../../files/node/path-kind.ts';

/** Where a training keeps its model. */
export const RUN_MODEL = 'model';

/** Whether a training keeps its settings and its record there. */
export async function isRunFolder(path: string): Promise<boolean> {
  return (await isFile(join(path, 'metrics.jsonl'))) && (await isFile(join(path, 'config.json')));
}

/** Throws InputError for the folder of a training, and says where its model is. */
export async function refuseRunFolder(path: string): Promise<void> {
  if (!(await isRunFolder(path))) return;
  const model = join(path, RUN_MODEL);
  const where =
    (await pathKind(model)) === 'folder'
      ? `its model is ${model}`
      : `it has written no model yet: the command that began it goes on with it`;
  throw new InputError(`${path} is the folder of a training; ${where}`, { path });
}
