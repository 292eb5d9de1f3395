/** The training step of consistency training, assembled from networks, however they were opened. */
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
import { type ConsistencyDraw, type ConsistencyOptions, consistencyLoss } from '../objectives/consistency.ts';
import type { Denoiser } from '../objectives/diffusion.ts';
import type { Leaves } from '../objectives/leaves.ts';
import type { Objective } from '../objectives/objective.ts';

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
  /** Of the empty caption, [1, L, D]; needed by a guided teacher. */
  readonly unconditionalStates: Tensor | undefined;
}

export interface ConsistencyStep {
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
  { student, base, lora, ownTarget, solver }: ConsistencyNetworks,
  { states, unconditionalStates }: ConsistencyText,
  options: ConsistencyOptions,
  leaves: Leaves<Drawn>,
): ConsistencyStep {
  const stored = withPrefix(base.weights, TEACHER);
  const frozen = paramsFromWeights(stored, TEACHER);
  const trained = new DeclaredParams();
  const target = new DeclaredParams(TARGET);
  const width = student.time_cond_proj_dim;
  const guidanceEmbedding =
    width !== null
      ? leaves.tensor('guidance_embedding', [leaves.share, width], ({ guidance }) =>
          hostTensor(guidanceScaleEmbedding(guidance, width), [guidance.length, width]),
        )
      : undefined;
  const studentModel = network(
    student,
    lora ? loraParams(trained.params, frozen.params, lora).params : trained.params,
  );
  const objective = consistencyLoss(
    {
      student: studentModel,
      target: lora || ownTarget ? studentModel : network(student, target.params),
      teacher: solver && {
        model: network(base.config, frozen.params),
        unconditionalStates: unconditionalStates!,
        ...solver,
      },
    },
    { states, guidanceEmbedding },
    options,
    leaves,
  );
  frozen.requireAll(base.location);
  return { objective, trained, frozen: solver || lora ? stored : new Map() };
}

function network(config: UNet2DConditionConfig, params: Params): Denoiser {
  return (sample, timestep, encoderHiddenStates, timestepCond) =>
    unet2DCondition(config, params, { sample, timestep, encoderHiddenStates, timestepCond });
}
