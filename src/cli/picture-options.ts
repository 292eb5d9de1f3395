/** `--from PICTURE`: the settings that a picture carries as the options of `lcm generate`. */
import { readFile } from 'node:fs/promises';
import { InputError } from '../errors.ts';
import { readPngText } from '../images/png-text.ts';
import { type PictureSettings, pictureRequest, readPictureSettings } from '../pipelines/picture-text.ts';
import type { GenerationRequest } from '../pipelines/settings.ts';
import { EMBEDDED_MODEL, EMBEDDED_MODEL_NAME } from './embedded-models.ts';
import { type EngineName, engineNames } from './engine-options.ts';

export interface RestoredOptions {
  readonly prompt: string;
  /** Values by the names of options, without those that were given. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What has no option of its own. */
  readonly request: Partial<GenerationRequest>;
}

/**
 * Reads the picture. isGiven: whether the option of that name stands on the command line. Throws InputError when there
 * is no such picture or it carries no settings.
 */
export async function optionsFromPicture(
  path: string,
  isGiven: (name: string) => boolean,
): Promise<RestoredOptions> {
  const file = await readFile(path).catch((cause: Error) => {
    throw new InputError(`--from ${path}: ${cause.message}`, { cause });
  });
  const settings = readPictureSettings(await readPngText(file));
  if (settings === undefined) {
    throw new InputError(`--from ${path}: the picture carries no settings of lcm generate`);
  }
  const { prompt, ...options } = { ...settings, ...surroundings(settings) };
  const request: Partial<GenerationRequest> = pictureRequest(settings);
  // What was chosen for the old steps or the old scheduler does not go with others.
  const dropped = [
    ...(isGiven('scheduler') ? ['timesteps', 'originalSteps', 'eta'] : []),
    ...(isGiven('steps') ? ['timesteps'] : []),
  ];
  const kept = (values: object, drop: (name: string) => boolean) =>
    Object.fromEntries(Object.entries(values).filter(([name]) => !drop(name)));
  return {
    prompt,
    options: kept(options, (name) => isGiven(name) || dropped.includes(name)),
    request: kept(request, (name) => dropped.includes(name)),
  };
}

/** The model and the engine as options name them. */
function surroundings({ model, engine }: PictureSettings): { model?: string; engine?: EngineName } {
  const device = engineNames.find((name) => engine?.endsWith(`/${name}`));
  return {
    ...(model !== undefined && { model: model === EMBEDDED_MODEL_NAME ? EMBEDDED_MODEL : model }),
    engine: device ?? 'cpu',
  };
}
