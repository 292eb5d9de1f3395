/** The model that the options name, opened once for everything that a command does with it. */
import type { ModelFiles } from '../components/model-files.ts';
import { openModel, withOtherParts } from '../components/node/open-model.ts';
import { type LoadOptions, type OpenedModel, startPipeline } from '../pipelines/node/load.ts';
import { adaptedComponents, type Pipeline } from '../pipelines/pipeline.ts';
import type { AppliedLora } from '../weights/lora.ts';
import { engineOptions } from './engine-options.ts';
import type { GenerationOptions, ModelOptions } from './generation-options.ts';
import { openLoras } from './lora-option.ts';

export interface ModelOfOptions extends OpenedModel {
  readonly options: ModelOptions;
  /** The files with the model's own parts, whatever `--unet` and `--vae` say. */
  readonly own: ModelFiles;
  /** In the order of the options. */
  readonly loras: readonly AppliedLora[];
}

/** Reads configurations and headers; starts no engine and reads no weights. */
export async function openModelOf(options: ModelOptions): Promise<ModelOfOptions> {
  const { model, lora = [], tokenizer, config, predictionType } = options;
  const loras = await openLoras(lora);
  const own = await openModel(model, { tokenizer, config, predictionType });
  const files = await withOtherParts(own, options);
  return { options, own, files, loras, components: await adaptedComponents(files, loras) };
}

/** The pipeline of the model on the engine that the options ask for. previewVae: where a small autoencoder for previews is. */
export function startPipelineOf(
  opened: ModelOfOptions,
  options: Pick<GenerationOptions, 'engine' | 'threads' | 'lowMemory'>,
  { previewVae, replicas }: Pick<LoadOptions, 'previewVae' | 'replicas'> = {},
): Promise<Pipeline> {
  const { lowMemory } = options;
  const { loras } = opened;
  return startPipeline(opened, { ...engineOptions(options), loras, previewVae, replicas, lowMemory });
}

/** What the user should know about the model and its LoRAs before something is drawn with them. */
export function warningsAbout({ files, loras }: ModelOfOptions): string[] {
  const guess = guessAbout(files);
  return [...(guess === undefined ? [] : [guess]), ...loras.flatMap(({ lora }) => lora.warnings)];
}

/** What was guessed about the model, for a warning; undefined where nothing was. */
export function guessAbout({ checkpoint }: ModelFiles): string | undefined {
  const { location, family, prediction } = checkpoint ?? {};
  if (family !== 'stable-diffusion-2' || prediction?.source !== 'family') return undefined;
  // No guess: the file's channels or its global_step tell the models of that family that predict noise.
  if (prediction.type === 'epsilon') return undefined;
  return (
    `${location} does not say what its UNet predicts: taken is ${prediction.type}, as by Stable Diffusion 2 at ` +
    '768 pixels; where that is wrong, use --prediction-type epsilon, and where it is right, ' +
    `--prediction-type ${prediction.type} to say so`
  );
}
