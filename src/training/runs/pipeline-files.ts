/** The files that make trained networks a pipeline which diffusers loads: index, scheduler, tokenizer. */
import { cp, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NoiseScheduleConfig } from '../../diffusion/noise-schedule.ts';
import { InputError } from '../../errors.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { writeDirectoryAtomically, writeDurably } from '../../weights/node/atomic-write.ts';
import type { TokenizerFiles } from '../tokenizer.ts';
import { writeJson } from './model-files.ts';

export type PipelineKind = 'StableDiffusionPipeline' | 'LatentConsistencyModelPipeline';

const SCHEDULERS = {
  StableDiffusionPipeline: 'DDIMScheduler',
  LatentConsistencyModelPipeline: 'LCMScheduler',
} as const;

/** What somebody gets who asks for nothing else. */
export interface GenerationDefaults {
  readonly steps: number;
  readonly guidance_scale: number;
}

/** Writes `model_index.json` and `generation_defaults.json`; the networks are written one by one. */
export async function writePipelineIndex(
  directory: string,
  kind: PipelineKind,
  defaults: GenerationDefaults,
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await writeJson(join(directory, 'generation_defaults.json'), defaults);
  await writeJson(join(directory, 'model_index.json'), {
    _class_name: kind,
    feature_extractor: [null, null],
    image_encoder: [null, null],
    requires_safety_checker: false,
    safety_checker: [null, null],
    scheduler: ['diffusers', SCHEDULERS[kind]],
    text_encoder: ['transformers', 'CLIPTextModel'],
    tokenizer: ['transformers', 'CLIPTokenizer'],
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
  });
}

/** Sampling starts at the last timestep, on the grid on which consistency models are distilled. */
export async function writeScheduler(
  directory: string,
  kind: PipelineKind,
  schedule: NoiseScheduleConfig,
  more: Readonly<Record<string, unknown>>,
): Promise<void> {
  await mkdir(join(directory, 'scheduler'), { recursive: true });
  await writeJson(join(directory, 'scheduler', 'scheduler_config.json'), {
    _class_name: SCHEDULERS[kind],
    ...schedule,
    clip_sample: false,
    set_alpha_to_one: true,
    steps_offset: 0,
    thresholding: false,
    timestep_spacing: 'trailing',
    ...more,
  });
}

export async function writeTokenizer(directory: string, files: TokenizerFiles): Promise<void> {
  await writeDirectoryAtomically(
    join(directory, 'tokenizer'),
    async (partial) => {
      for (const [name, text] of Object.entries(files)) {
        await writeDurably(join(partial, name), [new TextEncoder().encode(text)]);
      }
    },
    { replace: true },
  );
}

export async function readTokenizerFiles(directory: string): Promise<TokenizerFiles> {
  const folder = join(directory, 'tokenizer');
  const names = await readdir(folder).catch((cause) => {
    throw new InputError(`${directory} has no tokenizer folder`, { cause });
  });
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)),
  );
}

/** Copies a part of a diffusers folder, such as the `vae`, as it is. */
export async function copyPart(from: string, to: string, part: string): Promise<void> {
  await writeDirectoryAtomically(
    join(to, part),
    (partial) => cp(join(from, part), partial, { recursive: true, dereference: true }),
    { replace: true },
  );
}

/** The tensors whose names begin with `prefix`, without it. */
export function withoutPrefix(
  tensors: Readonly<Record<string, HostTensor>>,
  prefix: string,
): Map<string, HostTensor> {
  return new Map(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}
