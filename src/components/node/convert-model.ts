/** A model as a diffusers directory with its weights in another type, whatever kind of file it comes from. */
import { join } from 'node:path';
import { InputError, located } from '../../errors.ts';
import { isJsonObject, parseJsonObject } from '../../files/json.ts';
import { spelledLike } from '../../files/number-spelling.ts';
import { input } from '../../graph/tensor.ts';
import { clipText, clipTextProjection } from '../../models/clip-text.ts';
import type { StorageDType } from '../../weights/convert.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { type ComponentToWrite, writeDiffusersDirectory } from '../../weights/node/write-diffusers.ts';
import { paramsFromWeights, type StoredParams } from '../../weights/source.ts';
import type { Weights } from '../../weights/weights.ts';
import { type Component, type Components, loadComponents, type TextPart } from '../components.ts';
import type { StoredModel } from './stored-model.ts';

export interface ConvertOptions {
  /** The type of the written floating-point weights. */
  readonly dtype: StorageDType;
  /** Ends the work between two parts; then nothing is written. */
  readonly signal?: AbortSignal | undefined;
}

/** A part of the model that is not written. */
export interface LeftOut {
  readonly part: string;
  readonly reason: string;
}

const NETWORKS = ['unet', 'vae', 'text_encoder', 'text_encoder_2'];
/** Without these nothing can be drawn; of the others, such as the safety checker, diffusers can do without. */
const NEEDED = new Set([...NETWORKS, 'tokenizer', 'tokenizer_2', 'scheduler']);

/**
 * Writes the model to `target`, which must not exist yet, and returns what of it had to be left out. Networks are
 * converted, everything else is copied. Throws InputError for what is missing or damaged, and for parts that do not
 * belong together; then nothing is written.
 */
export async function convertModel(
  model: StoredModel,
  target: string,
  { dtype, signal }: ConvertOptions,
): Promise<LeftOut[]> {
  const used = model.isCombined ? usedWeights(await loadComponents(model)) : undefined;
  const components: Record<string, ComponentToWrite | null> = {};
  const leftOut: LeftOut[] = [];
  for (const [part, className] of model.classes) {
    signal?.throwIfAborted();
    try {
      const library = model.libraries.get(part)!;
      components[part] = { library, className, ...(await contentsOf(model, part, used?.get(part))) };
    } catch (error) {
      if (NEEDED.has(part) || !(error instanceof InputError)) throw error;
      components[part] = null;
      leftOut.push({ part, reason: error.message });
    }
  }
  const { pipelineClass, options } = model;
  const texts = Object.entries(await aboutOf(model));
  await writeDiffusersDirectory(target, { pipelineClass, components, options }, { dtype, signal });
  for (const [name, content] of texts) await writeFileAtomically(join(target, name), [content]);
  return leftOut;
}

type Contents =
  | {
      readonly config: Readonly<Record<string, unknown>>;
      readonly tensors: () => ReturnType<typeof loadTensors>;
    }
  | { readonly schedulerConfig: Readonly<Record<string, unknown>> }
  | { readonly files: Readonly<Record<string, string | Uint8Array>> };

async function contentsOf(model: StoredModel, part: string, used: Weights | undefined): Promise<Contents> {
  if (part === 'scheduler' && model.isCombined) return { schedulerConfig: await schedulerOf(model) };
  const isNetwork = NETWORKS.includes(part) || (await model.text(`${part}/config.json`)) !== undefined;
  if (!isNetwork) return { files: await model.copies(part) };
  const { location, config, weights } = await model.network(part);
  if (!isJsonObject(config))
    throw new InputError(`${location} has a config that is no JSON object`, { path: location });
  // Tensors are read when they are written: one network at a time is enough to hold.
  return { config, tensors: () => loadTensors(used ?? weights) };
}

/** What the model's scheduler_config.json says, and whoever opened it, without the class that wrote it. */
async function schedulerOf({ text, location, predictionType }: StoredModel) {
  const file = 'scheduler/scheduler_config.json';
  const json = parseJsonObject((await text(file)) ?? '{}', `${location}/${file}`);
  const { _class_name, _diffusers_version, ...config } = json;
  return spelledLike(
    { ...config, ...(predictionType !== undefined && { prediction_type: predictionType }) },
    json,
  );
}

async function aboutOf(model: StoredModel): Promise<Record<string, Uint8Array>> {
  const name = 'generation_defaults.json';
  const { [name]: _, ...texts } = await model.about();
  // Those of the UNet, which may come from elsewhere.
  const defaults = await model.text(name);
  return { ...texts, ...(defaults !== undefined && { [name]: new TextEncoder().encode(defaults) }) };
}

/** Of every network the weights that it uses. Throws InputError when it lacks some, or has them in other shapes. */
function usedWeights(model: Components): Map<string, Weights> {
  const { unet, vae, second } = model;
  const used = new Map<string, Weights>();
  const add = (part: string, component: Component<unknown>, write: (stored: StoredParams) => unknown) => {
    const stored = paramsFromWeights(component.weights);
    located(component.location, () => write(stored));
    stored.requireAll(component.location);
    const surplus = new Set(stored.surplus);
    used.set(part, new Map([...component.weights].filter(([name]) => !surplus.has(name))));
  };
  const side = 8 * vae.config.factor;
  add('vae', vae, ({ params }) => {
    vae.config.encode(params, input('pixels', [1, 3, side, side]));
    vae.config.decode(params, input('latents', [1, vae.config.latentChannels, 8, 8]));
  });
  const addText = (part: string, { textEncoder: encoder }: TextPart, projects: boolean) =>
    add(part, encoder, ({ params }) => {
      const ids = input('ids', [1, encoder.config.max_position_embeddings], 'int64');
      const { pooled } = clipText(encoder.config, params, ids);
      if (projects) clipTextProjection(encoder.config, params, pooled);
    });
  addText('text_encoder', model, false);
  if (second) addText('text_encoder_2', second, true);
  const { latentChannels, furtherChannels, guidanceWidth, contextWidth, added } = unet.config;
  add('unet', unet, ({ params }) =>
    unet.config.predict(params, {
      sample: input('sample', [1, latentChannels + furtherChannels, 32, 32]),
      time: input('time', [1]),
      states: input('states', [1, 77, contextWidth]),
      guidance: guidanceWidth === undefined ? undefined : input('guidance', [1, guidanceWidth]),
      added: added && {
        textEmbeds: input('textEmbeds', [1, added.pooledWidth]),
        timeIds: input('timeIds', [1, 6]),
      },
    }),
  );
  return used;
}
