/** What a model's own training says about it, where the model lies in the folder of its run. */
import { basename, dirname, join, resolve } from 'node:path';
import { isJsonObject, type JsonObject } from '../../files/json.ts';
import { readJsonObject } from '../../files/node/text-file.ts';
import { isRunFolder, RUN_MODEL } from '../../weights/node/run-folder.ts';
import { overlay } from './settings.ts';

/** The settings of the run that wrote the model folder; undefined when it came from elsewhere. */
async function settingsOfRun(model: string): Promise<JsonObject | undefined> {
  const run = dirname(resolve(model));
  if (basename(resolve(model)) !== RUN_MODEL || !(await isRunFolder(run))) return undefined;
  return readJsonObject(join(run, 'config.json'));
}

/**
 * The given settings with the data on which the model was trained, where they name none: whoever goes on from a model goes
 * on with its pictures. What is said of the data without saying where they are, changes those.
 */
export async function withDataOf(model: unknown, given: JsonObject): Promise<JsonObject> {
  const { data } = given;
  const saysWhere = isJsonObject(data) ? 'kind' in data || 'path' in data : data !== undefined;
  if (saysWhere || typeof model !== 'string') return given;
  const earlier = (await settingsOfRun(model))?.data;
  return isJsonObject(earlier) ? overlay({ data: earlier }, given) : given;
}
