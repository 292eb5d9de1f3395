/** The model that a consistency training starts from: its parts, with LoRAs merged in, whatever kind of file they come from. */
import { loadComponents, type TextPart } from '../../components/components.ts';
import type { StoredNetwork } from '../../components/model-files.ts';
import { openLoras } from '../../components/node/open-lora.ts';
import { openModel } from '../../components/node/open-model.ts';
import type { StoredModel } from '../../components/node/stored-model.ts';
import type { NoiseScheduleConfig } from '../../diffusion/noise-schedule.ts';
import { UsageError } from '../../errors.ts';
import type { LoraBase } from '../../weights/format-lora.ts';
import { type AppliedLora, requireComponents } from '../../weights/lora.ts';
import type { LoraComponent } from '../../weights/lora-file.ts';
import { mergeLoras } from '../../weights/merge-loras.ts';
import type { PredictionType } from '../objectives/diffusion.ts';
import { storedPrediction } from './fitting.ts';
import { networkOf } from './model-files.ts';

/** A text encoder of the teacher. */
export interface TeacherText extends TextPart {
  readonly folder: 'text_encoder' | 'text_encoder_2';
  readonly network: StoredNetwork;
}

export interface Teacher {
  readonly model: StoredModel;
  readonly pipelineClass: string;
  readonly unet: StoredNetwork;
  readonly vae: StoredNetwork & { readonly className: string };
  /** One, or the two of Stable Diffusion XL. */
  readonly texts: readonly TeacherText[];
  /** Stable Diffusion XL: zeros stand for the empty caption. */
  readonly zerosForEmptyPrompt: boolean;
  readonly predictionType: PredictionType;
  readonly schedule: NoiseScheduleConfig;
  /** Whether it draws in few steps already. */
  readonly isConsistency: boolean;
}

/** loras: `style.safetensors`, or `style.safetensors:0.8`. Throws as `openModel` and `openLoras` do. */
export async function openTeacher(name: string, loras: readonly string[]): Promise<Teacher> {
  const model = await openModel(name);
  const components = await loadComponents(model);
  const { second } = components;
  const applied = await openLoras(loras);
  requireComponents(applied, second ? ['unet', 'text_encoder', 'text_encoder_2'] : ['unet', 'text_encoder']);
  const adapted = async (part: LoraComponent) => {
    const network = await networkOf(model, part);
    return { ...network, weights: await mergeLoras(network.weights, part, applied) };
  };
  const first: TeacherText = {
    tokenizer: components.tokenizer,
    captions: components.captions,
    textEncoder: components.textEncoder,
    folder: 'text_encoder',
    network: await adapted('text_encoder'),
  };
  return {
    model,
    pipelineClass: components.pipelineClass,
    unet: await adapted('unet'),
    vae: { ...(await networkOf(model, 'vae')), className: components.vae.config.className },
    texts: second
      ? [first, { ...second, folder: 'text_encoder_2', network: await adapted('text_encoder_2') }]
      : [first],
    zerosForEmptyPrompt: second !== undefined && components.zerosForEmptyPrompt,
    ...storedPrediction(components),
    isConsistency:
      components.pipelineClass.startsWith('LatentConsistency') ||
      components.unet.config.guidanceWidth !== undefined ||
      applied.some(isConsistencyLora),
  };
}

const isConsistencyLora = ({ lora }: AppliedLora) => lora.isConsistency;

/** Throws UsageError for a model that draws in few steps already: its own steps are no teacher's. */
export function requireTeacher({ isConsistency }: Teacher, name: string): void {
  if (!isConsistency) return;
  throw new UsageError(
    `${name} is a latent consistency model already; distil the diffusion model that it came from, or train it on data alone, with "stepBack": "data"`,
  );
}

/** The family that others know LoRAs for the teacher by; undefined for one that nobody else has. */
export function loraBase({
  texts,
  pipelineClass,
}: Pick<Teacher, 'texts' | 'pipelineClass'>): LoraBase | undefined {
  if (pipelineClass.startsWith('StableDiffusionXL')) return 'stable-diffusion-xl';
  const width = texts[0]!.textEncoder.config.hidden_size;
  return ({ 768: 'stable-diffusion-v1', 1024: 'stable-diffusion-v2' } as const)[width];
}
