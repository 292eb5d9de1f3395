/** Writing trained networks as a pipeline that diffusers loads. */
import { join } from 'node:path';
import type { NoiseScheduleConfig } from '../../diffusion/noise-schedule.ts';
import { formatJson } from '../../files/format-json.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { type ModelToWrite, writeDiffusersDirectory } from '../../weights/node/write-diffusers.ts';

export interface PipelineToWrite {
  readonly kind: 'StableDiffusionPipeline' | 'LatentConsistencyModelPipeline';
  readonly vae: ModelToWrite;
  readonly unet: ModelToWrite;
  readonly textEncoder: ModelToWrite;
  /** Its files, by name. */
  readonly tokenizer: Readonly<Record<string, string | Uint8Array>>;
  readonly schedule: NoiseScheduleConfig;
  /** Further fields of the scheduler's config. */
  readonly scheduler: Readonly<Record<string, unknown>>;
  /** What somebody gets who asks for nothing else. */
  readonly defaults: { readonly steps: number; readonly guidance_scale: number };
}

const SCHEDULERS = {
  StableDiffusionPipeline: 'DDIMScheduler',
  LatentConsistencyModelPipeline: 'LCMScheduler',
} as const;

/** Writes `directory`, replacing a pipeline that is there. */
export async function writePipeline(directory: string, pipeline: PipelineToWrite): Promise<void> {
  const { kind, vae, unet, textEncoder, tokenizer, schedule, scheduler, defaults } = pipeline;
  await writeDiffusersDirectory(
    directory,
    {
      pipelineClass: kind,
      components: {
        feature_extractor: null,
        image_encoder: null,
        safety_checker: null,
        scheduler: {
          library: 'diffusers',
          className: SCHEDULERS[kind],
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
        tokenizer: { library: 'transformers', className: 'CLIPTokenizer', files: tokenizer },
        unet,
        vae,
      },
      options: { requires_safety_checker: false },
    },
    { replace: true },
  );
  await writeFileAtomically(join(directory, 'generation_defaults.json'), [formatJson(defaults)]);
}
