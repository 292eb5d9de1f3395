/** The model that the options name. */
import { said } from '../errors.ts';
import type { LoadProgress } from '../pipelines/node/load.ts';
import { type OpenedModel, openForDrawing } from '../pipelines/node/opened-model.ts';
import { flagOf } from './options/flag-names.ts';
import type { ModelOptions } from './options/generation.ts';
import { openLoras } from './options/lora.ts';
import { megabytes, type Reporter } from './progress.ts';

/** Reads configurations and headers; starts no engine and reads no weights. */
export async function openModelOf(options: ModelOptions): Promise<OpenedModel> {
  const { model, lora = [], unet, vae, tokenizer, config, predictionType } = options;
  return openForDrawing(model, { unet, vae, tokenizer, config, predictionType }, await openLoras(lora));
}

/** What the user should know about the model and its LoRAs before something is drawn with them. */
export function warningsAbout({ warnings }: OpenedModel): string[] {
  return warnings.map((warning) => said(warning, ({ setting }) => flagOf(setting)));
}

/** Bytes of weights that nobody waits for. */
const READ_AT_ONCE = 1e8;

/** Shows how far the reading of the weights of a large model is. */
export function showLoading(reporter: Reporter): (progress: LoadProgress) => void {
  return (progress) => {
    if (progress.stage !== 'weights') return;
    const { network, done, total } = progress;
    if (total < READ_AT_ONCE) return;
    reporter.event('weights', { network, done, total });
    reporter.progress({
      label: 'reading weights',
      unit: 'MB',
      detail: network,
      done: megabytes(done),
      total: megabytes(total),
    });
  };
}
