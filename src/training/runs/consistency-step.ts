/** The training steps of students, assembled from networks, however they were opened. */
import type { Solver } from '../../diffusion/affine.ts';
import { guidanceScaleEmbedding } from '../../diffusion/guidance-embedding.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { type LoraOptions, loraParams } from '../../layers/lora-parameters.ts';
import { DeclaredParams, type Params } from '../../layers/params.ts';
import { unet2DCondition } from '../../models/unet-2d-condition.ts';
import type { UNet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import { paramsFromWeights, withPrefix } from '../../weights/source.ts';
import type { Weights } from '../../weights/weights.ts';
import {
  type ConsistencyDraw,
  type ConsistencyOptions,
  consistencyLoss,
  type GuidedTeacher,
} from '../objectives/consistency.ts';
import {
  type AddedTensors,
  type Denoiser,
  type DiffusionBatch,
  diffusionLoss,
  outputLoss,
  type PredictionType,
} from '../objectives/diffusion.ts';
import type { Leaves } from '../objectives/leaves.ts';
import type { Objective } from '../objectives/objective.ts';
import type { TimePair } from '../objectives/time-pairs.ts';

export interface ConsistencyNetworks {
  readonly student: UNet2DConditionConfig;
  /** What the student starts from: the teacher, and the frozen part of a LoRA. */
  readonly base: {
    readonly config: UNet2DConditionConfig;
    readonly weights: Weights;
    /** For messages. */
    readonly location: string;
  };
  /** Low-rank additions to `base`, which are then all that is trained, and their own target. */
  readonly lora: LoraOptions | null;
  /** The target is the student itself, not its average. So it is with a LoRA in any case. */
  readonly ownTarget: boolean;
  /** How `base`, guided, steps back; undefined for training on the data alone. */
  readonly solver: { readonly solver: Solver; readonly substeps: number } | undefined;
}

export interface ConsistencyText {
  /** Caption states, [B, L, D]. */
  readonly states: Tensor;
  /** For Stable Diffusion XL. */
  readonly added?: AddedTensors | undefined;
  /** Of the empty caption; needed by a guided teacher. */
  readonly unconditional: GuidedTeacher['unconditional'] | undefined;
}

export interface TrainingStep {
  readonly objective: Objective;
  readonly trained: DeclaredParams;
  /** Weights that are bound when the step is compiled. */
  readonly frozen: Weights;
}

/** The target network's parameters have the student's names behind this prefix. */
export const TARGET = 'target/';
const TEACHER = 'teacher/';

/** Throws InputError when `base` lacks weights. */
export function consistencyStep<Drawn extends ConsistencyDraw>(
  networks: ConsistencyNetworks,
  { states, added, unconditional }: ConsistencyText,
  options: ConsistencyOptions,
  leaves: Leaves<Drawn>,
): TrainingStep {
  const { student, lora, ownTarget, solver } = networks;
  const written = writeNetworks(networks);
  const target = new DeclaredParams(TARGET);
  const width = student.time_cond_proj_dim;
  const guidanceEmbedding =
    width !== null
      ? leaves.tensor('guidance_embedding', [leaves.share, width], ({ guidance }) =>
          hostTensor(guidanceScaleEmbedding(guidance, width), [guidance.length, width]),
        )
      : undefined;
  const objective = consistencyLoss(
    {
      student: written.student,
      target: lora || ownTarget ? written.student : network(student, target.params),
      teacher: solver && {
        model: written.teacher,
        unconditional: unconditional!,
        ...solver,
      },
    },
    { states, guidanceEmbedding, added },
    options,
    leaves,
  );
  written.requireAll();
  return { objective, trained: written.trained, frozen: solver || lora ? written.stored : new Map() };
}

/**
 * A step that looks at one level of noise at a time: the diffusion objective, or the teacher's own output for a smaller
 * student. Throws InputError when `base` lacks weights.
 */
export function denoisingStep<Drawn extends ConsistencyDraw>(
  networks: Pick<ConsistencyNetworks, 'student' | 'base' | 'lora'>,
  kind: 'diffusion' | 'output',
  { states, added }: Pick<ConsistencyText, 'states' | 'added'>,
  { shape, predictionType }: Pick<ConsistencyOptions, 'shape'> & { predictionType: PredictionType },
  leaves: Leaves<Drawn>,
): TrainingStep {
  const written = writeNetworks(networks);
  const ofPairs = (of: (pair: TimePair) => number) => (drawn: Drawn) => drawn.pairs.map(of);
  const batch: DiffusionBatch = {
    latents: leaves.tensor('latents', shape, (drawn) => drawn.latents),
    noise: leaves.tensor('noise', shape, (drawn) => drawn.noise),
    timesteps: leaves.vector(
      'timesteps',
      ofPairs(({ start }) => start.t),
    ),
    alpha: leaves.perSample(
      'alpha',
      ofPairs(({ start, pureNoise }) => (pureNoise ? 0 : start.alpha)),
    ),
    sigma: leaves.perSample(
      'sigma',
      ofPairs(({ start, pureNoise }) => (pureNoise ? 1 : start.sigma)),
    ),
    weights: leaves.vector(
      'weights',
      ofPairs(({ weight }) => weight),
    ),
    states,
    added,
  };
  const objective =
    kind === 'output'
      ? outputLoss(written.student, written.teacher, batch)
      : diffusionLoss(written.student, predictionType, batch);
  written.requireAll();
  const isFrozen = kind === 'output' || networks.lora !== null;
  return { objective, trained: written.trained, frozen: isFrozen ? written.stored : new Map() };
}

/** Student and teacher on one graph: stored weights are shared by the teacher and the frozen part of a LoRA. */
function writeNetworks({ student, base, lora }: Pick<ConsistencyNetworks, 'student' | 'base' | 'lora'>) {
  const stored = withPrefix(base.weights, TEACHER);
  const frozen = paramsFromWeights(stored, TEACHER);
  const trained = new DeclaredParams();
  const params = lora ? loraParams(trained.params, frozen.params, lora).params : trained.params;
  return {
    student: network(student, params),
    teacher: network(base.config, frozen.params),
    trained,
    stored,
    requireAll: () => frozen.requireAll(base.location),
  };
}

function network(config: UNet2DConditionConfig, params: Params): Denoiser {
  return (sample, timestep, encoderHiddenStates, timestepCond, addedCond) =>
    unet2DCondition(config, params, { sample, timestep, encoderHiddenStates, timestepCond, addedCond });
}
