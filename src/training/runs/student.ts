/** The student of a distillation: what its UNet is, and the weights that it starts from. */
import type { StoredNetwork } from '../../components/model-files.ts';
import { openModel } from '../../components/node/open-model.ts';
import { located, UsageError } from '../../errors.ts';
import { float32Data, type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { elementCount, type Shape, sameShape } from '../../graph/shape.ts';
import { normalInitializer } from '../../layers/initializers.ts';
import { type UNet2DConditionConfig, unet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import { convertTensor } from '../../weights/convert.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { randomStream } from '../data/random-stream.ts';
import type { FlatParameters } from '../update/flat-parameters.ts';
import type { DistillationRunConfig } from './distillation-config.ts';
import { loadParameters, networkOf } from './model-files.ts';
import type { Teacher } from './teacher.ts';

export interface Student {
  readonly config: UNet2DConditionConfig;
  /** Sets the values that training starts from; the declared random ones stay where there are none. */
  start(parameters: FlatParameters): Promise<void>;
}

export interface StudentOptions {
  /** Whether it is to be told the guidance. */
  readonly embedded: boolean;
  /** Latent pixels along each side, which are drawn where nobody asks for a size. */
  readonly sampleSize: number;
}

/** Throws UsageError for a student that does not take what the teacher takes, InputError for a start that is none. */
export async function openStudent(
  settings: DistillationRunConfig,
  teacher: Teacher,
  { embedded, sampleSize }: StudentOptions,
): Promise<Student> {
  const { start, student: changes, timeCondProjDim } = settings;
  const from: StoredNetwork =
    start === 'teacher' || start === 'random'
      ? teacher.unet
      : await networkOf(await openModel(start), 'unet');
  const stored = unet2DConditionConfig(from.config);
  const base =
    changes === null
      ? stored
      : located('the setting "student"', () => unet2DConditionConfig({ ...stored, ...changes }));
  requireSameInputs(base, unet2DConditionConfig(teacher.unet.config), settings);
  const config = {
    ...base,
    sample_size: sampleSize,
    ...(embedded && { time_cond_proj_dim: timeCondProjDim }),
  };
  return {
    config,
    async start(parameters) {
      if (start === 'random') return;
      if (changes === null) await loadParameters(parameters, from.weights, from.location, isGuidanceInput);
      else await takeMatching(parameters, from, config);
      const slot = parameters.slots.find(({ name }) => isGuidanceInput(name));
      if (slot && !from.weights.has(slot.name)) {
        const values = normalInitializer(settings.timeCondProjInit)(
          slot.shape,
          randomStream(settings.seed, 2),
        );
        parameters.set(slot.name, hostTensor(values, slot.shape));
      }
    },
  };
}

const isGuidanceInput = (name: string) => name === 'time_embedding.cond_proj.weight';

/** Fields that say what a UNet is given and gives: latents, text, sizes. */
const INPUTS = [
  'in_channels',
  'out_channels',
  'cross_attention_dim',
  'addition_embed_type',
  'projection_class_embeddings_input_dim',
] as const;

function requireSameInputs(
  student: UNet2DConditionConfig,
  teacher: UNet2DConditionConfig,
  { start }: DistillationRunConfig,
): void {
  const field = INPUTS.find((name) => student[name] !== teacher[name]);
  if (field === undefined) return;
  throw new UsageError(
    `the student (${start === 'teacher' ? 'by the setting "student"' : start}) has ${field} ${student[field]}, the teacher ${teacher[field]}; the two must take and give the same`,
  );
}

/**
 * Takes what a smaller network has in common with the stored one: weights by name, of narrower layers the first channels.
 * The last layer of an up block, which sees the features of the block below, is the last one of the stored block.
 */
async function takeMatching(
  parameters: FlatParameters,
  { weights, location }: StoredNetwork,
  config: UNet2DConditionConfig,
): Promise<void> {
  const lastOf = lastUpLayers(weights.keys());
  const ownLast = lastUpLayers(parameters.slots.map(({ name }) => name));
  let taken = 0;
  for (const { name, shape } of parameters.slots) {
    const source = name.replace(
      /^(up_blocks\.\d+\.(?:resnets|attentions)\.)(\d+)(?=\.)/,
      (whole, block: string, layer: string) =>
        Number(layer) === ownLast.get(block) ? `${block}${lastOf.get(block) ?? layer}` : whole,
    );
    if (!weights.has(source)) continue;
    const tensor = convertTensor((await loadTensors(weights, [source])).get(source)!, 'float32');
    const part = leadingPart(tensor, shape);
    if (part === undefined) continue;
    parameters.set(name, part);
    taken += 1;
  }
  if (taken > 0) return;
  throw new UsageError(
    `the setting "student" leaves nothing of ${location} (${config.block_out_channels.join(', ')} channels); the two have no weights in common`,
  );
}

/** The index of the last layer of each up block, by what stands before it in names. */
function lastUpLayers(names: Iterable<string>): Map<string, number> {
  const last = new Map<string, number>();
  for (const name of names) {
    const [, block, layer] = /^(up_blocks\.\d+\.(?:resnets|attentions)\.)(\d+)\./.exec(name) ?? [];
    if (block !== undefined) last.set(block, Math.max(last.get(block) ?? 0, Number(layer)));
  }
  return last;
}

/** The first entries along every axis; undefined for a shape that is larger anywhere. */
function leadingPart(tensor: HostTensor, shape: Shape): HostTensor | undefined {
  if (sameShape(tensor.shape, shape)) return tensor;
  if (tensor.shape.length !== shape.length || shape.some((size, axis) => size > tensor.shape[axis]!)) {
    return undefined;
  }
  const data = float32Data(tensor);
  const values = Float32Array.from({ length: elementCount(shape) }, (_, index) => {
    let rest = index;
    let stride = 1;
    let place = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += (rest % shape[axis]!) * stride;
      rest = Math.floor(rest / shape[axis]!);
      stride *= tensor.shape[axis]!;
    }
    return data[place]!;
  });
  return hostTensor(values, shape);
}
