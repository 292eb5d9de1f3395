/** A model that was opened once, for all that is done with it: its parts, its LoRAs, and what they were asked for as. */
import type { Components } from '../../components/components.ts';
import type { ModelFiles } from '../../components/model-files.ts';
import { openLoras } from '../../components/node/open-lora.ts';
import { type OpenModelOptions, openModel, withOtherParts } from '../../components/node/open-model.ts';
import { type Message, mention, mentioning } from '../../errors.ts';
import type { AppliedLora } from '../../weights/lora.ts';
import type { DrawnWith } from '../picture-text.ts';
import { adaptedComponents } from '../pipeline.ts';
import { drawnWith, shownModel } from './drawn-with.ts';

/** A model that was opened: configurations and headers were read, weights were not. */
export interface OpenedModel {
  /** As it was asked for; `postcards` for the model that comes with the package. */
  readonly name: string;
  /** With other parts in place of the model's own, where they were asked for. */
  readonly files: ModelFiles;
  /**
   * The files with the model's own parts.
   *
   * @internal
   */
  readonly own: ModelFiles;
  /**
   * `adaptedComponents` of the files.
   *
   * @internal
   */
  readonly components: Components;
  readonly loras: readonly AppliedLora[];
  /** What pictures carry of the model. Weights are read for it, once, when it is first asked for. */
  drawnWith(): Promise<DrawnWith>;
  /** What should be known before something is drawn: guesses, and what LoRAs leave open. */
  readonly warnings: readonly Message[];
}

/** Throws InputError for what is missing or damaged, and UsageError for what does not go together. */
export async function openForDrawing(
  name: string,
  options: OpenModelOptions,
  references: readonly (string | AppliedLora)[] = [],
): Promise<OpenedModel> {
  const loras = await openLoras(references);
  const own = await openModel(name, { ...options, unet: undefined, vae: undefined });
  const files = await withOtherParts(own, options);
  const components = await adaptedComponents(files, loras);
  const guess = guessAbout(files);
  let known: Promise<DrawnWith> | undefined;
  return {
    name: shownModel(name),
    files,
    own,
    components,
    loras,
    drawnWith() {
      known ??= drawnWith({ name, options, own, components, loras });
      return known;
    },
    warnings: [...(guess === undefined ? [] : [guess]), ...loras.flatMap(({ lora }) => lora.warnings)],
  };
}

/** What was guessed about the model, for a warning; undefined where nothing was. */
export function guessAbout({ checkpoint }: ModelFiles): Message | undefined {
  const { location, family, prediction } = checkpoint ?? {};
  if (family !== 'stable-diffusion-2' || prediction?.source !== 'family') return undefined;
  // No guess: the file's channels or its global_step tell the models of that family that predict noise.
  if (prediction.type === 'epsilon') return undefined;
  const setting = mention('predictionType', 'the prediction type');
  return mentioning`${location ?? ''} does not say what its UNet predicts: taken is ${prediction.type}, as by Stable Diffusion 2 at 768 pixels; where that is wrong, use ${setting} epsilon, and where it is right, ${setting} ${prediction.type} to say so`;
}
