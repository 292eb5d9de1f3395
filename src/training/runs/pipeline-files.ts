/** Writing trained networks as a pipeline that diffusers loads. */
import { join } from 'node:path';
import type { NoiseScheduleConfig } from '../../diffusion/noise-schedule.ts';
import { formatJson } from '../../files/format-json.ts';
import type { StorageDType } from '../../weights/convert.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { type ModelToWrite, writeDiffusersDirectory } from '../../weights/node/write-diffusers.ts';

export interface PipelineToWrite {
  readonly kind: 'StableDiffusionPipeline' | 'LatentConsistencyModelPipeline' | 'StableDiffusionXLPipeline';
  /** Latent consistency models of Stable Diffusion XL have no pipeline of their own in diffusers. */
  readonly schedulerClass: 'DDIMScheduler' | 'LCMScheduler';
  readonly vae: ModelToWrite;
  readonly unet: ModelToWrite;
  readonly textEncoder: ModelToWrite;
  /** Its files, by name. */
  readonly tokenizer: Readonly<Record<string, string | Uint8Array>>;
  /** Stable Diffusion XL's second text encoder. */
  readonly second?:
    | (Pick<PipelineToWrite, 'textEncoder' | 'tokenizer'> & { readonly zerosForEmptyPrompt: boolean })
    | undefined;
  readonly schedule: NoiseScheduleConfig;
  /** Further fields of the scheduler's config. */
  readonly scheduler: Readonly<Record<string, unknown>>;
  /** What somebody gets who asks for nothing else. */
  readonly defaults: { readonly steps: number; readonly guidance_scale: number };
  /** In which weights are written. Default: float32. */
  readonly dtype?: StorageDType;
}

/** Writes `directory`, replacing a pipeline that is there. */
export async function writePipeline(directory: string, pipeline: PipelineToWrite): Promise<void> {
  const {
    kind,
    schedulerClass,
    vae,
    unet,
    textEncoder,
    tokenizer,
    second,
    schedule,
    scheduler,
    defaults,
    dtype,
  } = pipeline;
  const tokenizerOf = (files: PipelineToWrite['tokenizer']) => ({
    library: 'transformers',
    className: 'CLIPTokenizer',
    files,
  });
  await writeDiffusersDirectory(
    directory,
    {
      pipelineClass: kind,
      components: {
        feature_extractor: null,
        image_encoder: null,
        ...(second ? {} : { safety_checker: null }),
        scheduler: {
          library: 'diffusers',
          className: schedulerClass,
          schedulerConfig: {
            ...schedule,
            clip_sample: false,
            set_alpha_to_one: true,
            steps_offset: 0,
            thresholding: false,
            // Sampling starts at the last timestep, on the grid on which consistency models are distilled.
            timestep_spacing: 'trailing',
            ...scheduler,
          },
        },
        text_encoder: textEncoder,
        tokenizer: tokenizerOf(tokenizer),
        ...(second && { text_encoder_2: second.textEncoder, tokenizer_2: tokenizerOf(second.tokenizer) }),
        unet,
        vae,
      },
      options: second
        ? { force_zeros_for_empty_prompt: second.zerosForEmptyPrompt }
        : { requires_safety_checker: false },
    },
    { replace: true, dtype },
  );
  await writeFileAtomically(join(directory, 'generation_defaults.json'), [formatJson(defaults)]);
}
