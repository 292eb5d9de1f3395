/** Writing what a consistency training has learned: a LoRA, or a pipeline that diffusers loads. */
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { UNet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import { formatLora } from '../../weights/format-lora.ts';
import { LORA_FILE_NAME } from '../../weights/lora-file.ts';
import { writeSafetensors } from '../../weights/node/safetensors-file.ts';
import type { FlatParameters } from '../update/flat-parameters.ts';
import type { DistillationRunConfig } from './distillation-config.ts';
import { NETWORKS, networkToWrite, storedNetworkToWrite } from './model-files.ts';
import { writePipeline } from './pipeline-files.ts';
import { loraBase, type Teacher } from './teacher.ts';

export interface StudentToWrite {
  readonly config: DistillationRunConfig;
  readonly teacher: Teacher;
  readonly student: UNet2DConditionConfig;
  readonly parameters: FlatParameters;
  /** Of the pictures, in pixels. */
  readonly size: { readonly width: number; readonly height: number };
}

export async function writeStudent(directory: string, written: StudentToWrite): Promise<void> {
  const { config, teacher, student, parameters } = written;
  const tensors = new Map(Object.entries(parameters.tensors()));
  if (config.lora) return writeLora(directory, written, config.lora);
  const [first, second] = await Promise.all(
    teacher.texts.map(async ({ folder, network }) => ({
      textEncoder: await storedNetworkToWrite(NETWORKS[folder], network),
      tokenizer: await teacher.model.copies(folder.replace('text_encoder', 'tokenizer')),
    })),
  );
  const isConsistency = config.objective === 'consistency';
  await writePipeline(directory, {
    kind: second
      ? 'StableDiffusionXLPipeline'
      : isConsistency
        ? 'LatentConsistencyModelPipeline'
        : 'StableDiffusionPipeline',
    schedulerClass: isConsistency ? 'LCMScheduler' : 'DDIMScheduler',
    vae: await storedNetworkToWrite(teacher.vae.className, teacher.vae),
    unet: networkToWrite('unet', student, tensors),
    ...first!,
    second: second && { ...second, zerosForEmptyPrompt: teacher.zerosForEmptyPrompt },
    schedule: teacher.schedule,
    scheduler: {
      prediction_type: teacher.predictionType,
      ...(isConsistency && {
        original_inference_steps: config.gridSize,
        timestep_scaling: config.timestepScaling,
      }),
    },
    defaults: isConsistency ? { steps: 4, guidance_scale: guidanceOf(config, student) } : DIFFUSION_DEFAULTS,
    dtype: config.saveDtype,
  });
}

/** diffusers' own of StableDiffusionPipeline. */
const DIFFUSION_DEFAULTS = { steps: 50, guidance_scale: 7.5 };

/**
 * The middle of the range that was trained. Without an embedding of it, a guidance scale would be classifier-free guidance
 * on top of the teacher's.
 */
function guidanceOf({ guidance }: DistillationRunConfig, student: UNet2DConditionConfig): number {
  return student.time_cond_proj_dim === null ? 1 : 1 + (guidance.min + guidance.max) / 2;
}

async function writeLora(
  directory: string,
  { config, teacher, parameters, size }: StudentToWrite,
  { rank, alpha }: { readonly rank: number; readonly alpha: number },
): Promise<void> {
  const isConsistency = config.objective === 'consistency';
  const { tensors, metadata } = formatLora(new Map(Object.entries(parameters.tensors())), {
    rank,
    alpha,
    format: config.loraFormat,
    dtype: config.saveDtype,
    isConsistency,
    base: loraBase(teacher),
    predictionType: teacher.predictionType,
    resolution: size,
    title: `${isConsistency ? 'LCM-LoRA' : 'LoRA'} of ${basename(config.teacher)}`,
  });
  await mkdir(directory, { recursive: true });
  await writeSafetensors(join(directory, LORA_FILE_NAME), tensors, metadata);
}
