/** `lcm info` of a whole model: its family, its networks, how it draws. Reads configurations and headers of weights. */

import { loadComponents, pictureSize } from '../../components/components.ts';
import type { ModelFiles } from '../../components/model-files.ts';
import type { SchedulerName } from '../../components/scheduler.ts';
import { squareSide } from '../../components/size.ts';
import { InputError } from '../../errors.ts';
import { shown } from '../../messages.ts';
import type { TrainingCaptions } from '../../text/training-captions.ts';
import { filesOf } from '../../weights/node/file-hash.ts';
import { type Family, familyOfWidth } from '../../weights/single-file/published.ts';
import { foreignNames } from '../../weights/weights.ts';
import type { Reporter } from '../progress.ts';
import { filesFacts, printFiles, printForeign, printMetadata } from './files.ts';
import { line, summarize, summaryText } from './numbers.ts';

const NETWORKS = ['unet', 'vae', 'text_encoder', 'text_encoder_2'];

const FAMILY_NAMES: Readonly<Record<Family, string>> = {
  'stable-diffusion-1': 'Stable Diffusion 1.x',
  'stable-diffusion-2': 'Stable Diffusion 2.x',
  'stable-diffusion-xl': 'Stable Diffusion XL',
};

/** path: as it was asked for; files: what was found there; inFile: names of tensors of a single file that are not read. */
export async function describeModel(
  path: string,
  files: ModelFiles,
  { reporter, signal }: { reporter: Reporter; signal: AbortSignal },
  inFile: readonly string[] = [],
): Promise<void> {
  const networks = NETWORKS.filter((name) => files.classes.has(name));
  const stored = await Promise.all(networks.map(async (name) => [name, await files.network(name)] as const));
  const parts = Object.fromEntries(
    stored.map(([name, { config, weights }]) => [
      name,
      { class: files.classes.get(name), ...summarize(weights), config },
    ]),
  );
  const unet = (parts.unet?.config ?? {}) as Record<string, unknown>;
  const latentConsistency = typeof unet.time_cond_proj_dim === 'number';
  const inpainting =
    typeof unet.in_channels === 'number' && unet.in_channels === 2 * Number(unet.out_channels) + 1;
  const family = familyOf(files, unet);
  const runnable = await runnableFacts(files);
  const facts = {
    layout: files.checkpoint === undefined ? 'diffusers directory' : 'single file',
    family,
    latentConsistency,
    inpainting,
    pipeline: files.pipelineClass,
    scheduler: files.classes.get('scheduler'),
    guidance: latentConsistency ? 'built in (one pass)' : 'classifier-free (two passes)',
    predictionFrom: files.checkpoint?.prediction?.source,
    ...(await predictionOf(files)),
    ...runnable,
  };

  const kind = [
    family === undefined ? 'a model of its own size' : FAMILY_NAMES[family],
    latentConsistency ? 'latent consistency' : '',
    inpainting ? 'inpainting' : '',
  ].filter(Boolean);
  reporter.print(
    `${path}: ${kind.join(', ')} (${facts.layout}${files.location === path ? '' : ` ${files.location}`})`,
  );
  reporter.print(line('pipeline', `${facts.pipeline}, ${facts.scheduler}`));
  const guess =
    facts.predictionFrom === 'family' ? ' (the file does not say; --prediction-type overrides it)' : '';
  reporter.print(line('predicts', `${facts.prediction}${guess}`));
  for (const [name, part] of Object.entries(parts)) {
    reporter.print(line(name, summaryText(part)));
    reporter.print(line('', mainFields(part.config)));
  }
  reporter.print(line('guidance', facts.guidance));
  if (runnable.sampler !== undefined) reporter.print(line('draws with', runnable.sampler));
  if (runnable.samplerProblem !== undefined) {
    reporter.print(
      line('draws with', `what --scheduler says; its own cannot be used: ${runnable.samplerProblem}`),
    );
  }
  if (runnable.size !== undefined) {
    const [height, width = height] = [runnable.size].flat();
    reporter.print(line('pictures', `${width}×${height}, sides in multiples of ${runnable.factor}`));
  }
  if (runnable.tokens !== undefined) reporter.print(line('prompts', `up to ${runnable.tokens - 2} tokens`));
  if (runnable.captions !== undefined) printCaptions(runnable.captions, reporter);
  if (runnable.problem !== undefined) reporter.print(line('cannot draw', runnable.problem));
  const foreign = [...new Set([...inFile, ...stored.flatMap(([, { weights }]) => foreignNames(weights))])];
  printForeign(foreign, reporter);
  const { metadata = {} } = files.checkpoint ?? {};
  printMetadata(metadata, reporter);
  const paths = [...new Set(stored.flatMap(([, { weights }]) => filesOf(weights)))];
  const disk = await filesFacts(paths, { reporter, signal });
  printFiles(disk, reporter);
  reporter.event('model', {
    path,
    location: files.location,
    ...facts,
    parts,
    foreign,
    metadata,
    files: disk,
  });
}

/** Words that are shown; --json has all of them. */
const MOST_WORDS = 400;
const EXAMPLES = 3;

/** What the model has read, and so what can be asked of it. */
function printCaptions({ words, complete, examples }: TrainingCaptions, reporter: Reporter): void {
  const shownWords = words.slice(0, MOST_WORDS).join(' ');
  const rest = words.length > MOST_WORDS ? ' …' : '';
  reporter.print(line('words', `${complete ? '' : 'more than '}${words.length}: ${shownWords}${rest}`));
  for (const [i, example] of examples.slice(0, EXAMPLES).entries()) {
    reporter.print(line(i === 0 ? 'such as' : '', shown(example)));
  }
}

/** The fields of configurations that tell models apart; --json has all of them. */
const MAIN_FIELDS = [
  ...['in_channels', 'block_out_channels', 'cross_attention_dim', 'time_cond_proj_dim'],
  ...['latent_channels', 'scaling_factor', 'hidden_size', 'num_hidden_layers', 'vocab_size'],
];

function mainFields(config: unknown): string {
  const fields = Object.entries(Object(config) as Record<string, unknown>);
  const main = fields.filter(([name, value]) => MAIN_FIELDS.includes(name) && value !== null);
  return main.map(([name, value]) => `${name} ${shown(value)}`).join(', ');
}

/** The family of a model: told by a single file's keys, else by the width of the states that the UNet attends to. */
function familyOf(files: ModelFiles, unet: Record<string, unknown>): Family | undefined {
  if (files.checkpoint) return files.checkpoint.family;
  if (files.pipelineClass.startsWith('StableDiffusionXL')) return 'stable-diffusion-xl';
  return familyOfWidth(unet.cross_attention_dim);
}

async function predictionOf(files: ModelFiles): Promise<{ prediction: unknown }> {
  const text = (await files.text('scheduler/scheduler_config.json')) ?? '{}';
  const stated = /"prediction_type"\s*:\s*"(\w+)"/.exec(text)?.[1];
  // diffusers' default.
  return { prediction: stated ?? 'epsilon' };
}

interface RunnableFacts {
  /** One number for squares, as in `sample_size`, else height and width. */
  readonly size?: number | readonly [number, number] | undefined;
  readonly factor?: number;
  readonly tokens?: number;
  readonly defaults?: object;
  /** What it has read, where it tells. */
  readonly captions?: TrainingCaptions | undefined;
  /** The scheduler of requests that name none, or why there is none. */
  readonly sampler?: SchedulerName | undefined;
  readonly samplerProblem?: string | undefined;
  /** Why it cannot draw as it is, e.g. because a tokenizer is missing. */
  readonly problem?: string;
}

/** What only a model that is complete and supported has. */
async function runnableFacts(files: ModelFiles): Promise<RunnableFacts> {
  try {
    const model = await loadComponents(files);
    const { vae, textEncoder, scheduler, defaults, captions } = model;
    const sampler = defaults.scheduler ?? scheduler.name;
    const size = pictureSize(model);
    return {
      size: squareSide(size) ?? (size && [size.height, size.width]),
      factor: vae.config.factor,
      tokens: textEncoder.config.max_position_embeddings,
      defaults,
      captions,
      sampler,
      samplerProblem: sampler === undefined ? scheduler.obstacle : undefined,
    };
  } catch (error) {
    if (error instanceof InputError) return { problem: error.message };
    throw error;
  }
}
