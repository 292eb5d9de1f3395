/** `--from PICTURE`: the settings that a picture carries as the options of `lcm generate`. */

import { stat } from 'node:fs/promises';
import { EMBEDDED_MODEL, EMBEDDED_MODEL_NAME } from '../../components/node/embedded-models.ts';
import { deviceOf } from '../../engines/create-engine.ts';
import { InputError, withPlace } from '../../errors.ts';
import { localPath } from '../../hub/node/cache.ts';
import { readEmbeddedText } from '../../images/embedded-text.ts';
import { readPicture } from '../../images/node/open-image.ts';
import { listed, shown } from '../../messages.ts';
import { readForeignSettings } from '../../pipelines/foreign/read.ts';
import type { ForeignSettings } from '../../pipelines/foreign/settings.ts';
import type { DrawnWith } from '../../pipelines/picture-text.ts';
import { type PictureSettings, pictureRequest, readPictureSettings } from '../../pipelines/picture-text.ts';

export interface RestoredOptions {
  readonly prompt: string;
  /** Values by the names of options, without those that were given. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Of what the options name: what it was when the picture was drawn. */
  readonly drawnWith: Partial<DrawnWith>;
  /** What of the picture's settings is not restored. */
  readonly warnings: readonly string[];
}

/**
 * Reads the picture. isGiven: whether the option of that name stands on the command line. Throws InputError when there
 * is no such picture, when it carries no settings, and when a file that it was drawn with is not there.
 */
export async function optionsFromPicture(
  path: string,
  isGiven: (name: string) => boolean,
): Promise<RestoredOptions> {
  const { own, foreign } = await readPicture(path)
    .then(readEmbeddedText)
    .then((text) => {
      const own = readPictureSettings(text);
      return { own, foreign: own === undefined ? readForeignSettings(text) : undefined };
    })
    .catch((error: unknown) => {
      throw withPlace('--from', withPlace(path, error));
    });
  if (own !== undefined) return ownOptions(path, own, isGiven);
  if (foreign !== undefined) return foreignOptions(path, foreign, isGiven);
  throw new InputError(
    `--from ${path}: the picture carries no settings of lcm generate, Automatic1111, Forge or ComfyUI`,
    { path },
  );
}

async function ownOptions(
  path: string,
  settings: PictureSettings,
  isGiven: (name: string) => boolean,
): Promise<RestoredOptions> {
  const { prompt, image, mask, modelFingerprint, unet, vae, loras } = settings;
  const { prompt: _, ...request } = pictureRequest(settings);
  // What was chosen for the old steps, the old scheduler or the old model does not go with others.
  const dropped = [
    ...(isGiven('scheduler') ? ['timesteps', 'originalSteps', 'eta'] : []),
    ...(isGiven('steps') ? ['timesteps'] : []),
    ...(isGiven('model') ? ['unet', 'tokenizer', 'config', 'predictionType'] : []),
  ];
  const kept = <T extends object>(values: T, drop: (name: string) => boolean) =>
    Object.fromEntries(
      Object.entries(values).filter(([name, value]) => value !== undefined && !drop(name)),
    ) as Partial<T>;
  const options = kept(
    { ...request, image, mask, ...surroundings(settings) },
    (name) => isGiven(name) || dropped.includes(name),
  );
  await requireFiles(path, options);
  return {
    prompt,
    options,
    drawnWith: {
      ...(!isGiven('model') && modelFingerprint !== undefined && { modelFingerprint }),
      ...(!isGiven('unet') && !isGiven('model') && unet && { unet }),
      ...(!isGiven('vae') && vae && { vae }),
      ...(!isGiven('lora') && loras && { loras }),
    },
    warnings: [],
  };
}

/** Throws InputError unless the model is given: other programs name it, and do not say where it is. */
function foreignOptions(
  path: string,
  settings: ForeignSettings,
  isGiven: (name: string) => boolean,
): RestoredOptions {
  const { program, prompt, model, vae, loras, image, strength, leftOut, ...values } = settings;
  if (model !== undefined && !isGiven('model')) {
    throw new InputError(
      `--from ${path}: ${program} drew it with the model ${shown(model)}; say where that is with --model`,
      { path },
    );
  }
  const hasImage = isGiven('image');
  const options = { ...values, ...(hasImage && { strength }) };
  const toName = [
    ...(isGiven('lora') ? [] : loras.map((lora) => `the LoRA ${lora.name} at ${lora.strength} (--lora)`)),
    ...(vae === undefined || isGiven('vae') ? [] : [`the VAE ${vae} (--vae)`]),
    ...(strength === undefined || hasImage
      ? []
      : [`the picture ${image ?? ''} that it began with (--image)`]),
  ];
  const missing = [...toName.map((name) => name.replace('  ', ' ')), ...leftOut];
  return {
    prompt,
    options: Object.fromEntries(
      Object.entries(options).filter(([name, value]) => value !== undefined && !isGiven(name)),
    ),
    drawnWith: {},
    warnings:
      missing.length === 0
        ? []
        : [`--from ${path}: of ${program}'s settings is left out: ${listed(missing, 20)}`],
  };
}

/** The model, what is laid over it, and the engine as options name them. */
function surroundings(settings: PictureSettings) {
  const { model, unet, vae, loras, tokenizer, config, predictionType, quantize, engine, precision } =
    settings;
  return {
    model: model === EMBEDDED_MODEL_NAME ? EMBEDDED_MODEL : model,
    unet: unet?.path,
    vae: vae?.path,
    lora: loras?.map(({ path, strength }) => ({ path, strength })),
    tokenizer,
    config,
    predictionType,
    quantize,
    engine: deviceOf(engine ?? '') ?? 'cpu',
    precision: precision ?? 'float32',
  };
}

/** The paths of a picture are from where its maker was. What is missing is said with the option that names another. */
async function requireFiles(
  picture: string,
  { unet, vae, lora = [], tokenizer, config }: Partial<ReturnType<typeof surroundings>>,
): Promise<void> {
  const named: (readonly [what: string, path: string | undefined, option: string])[] = [
    ...lora.map(({ path, strength }) => ['LoRA', path, `--lora <path>:${strength}`] as const),
    ['UNet', unet, '--unet'],
    ['VAE', vae, '--vae'],
    ['tokenizer', tokenizer, '--tokenizer'],
    ['configuration', config, '--config'],
  ];
  for (const [what, path, option] of named) {
    if (path === undefined || (await stat(await localPath(path)).catch(() => undefined))) continue;
    throw new InputError(
      `--from ${picture}: it was drawn with the ${what} ${path}, which is not there; say where it is with ${option}`,
      { path, code: 'not-found' },
    );
  }
}
