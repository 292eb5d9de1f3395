/**
 * Training in Node: `latent-consistency/training`. What `lcm train` and `lcm distill` do: a kind of training makes a
 * configuration of the settings that are given, and `train` trains, or goes on where a run in the folder stopped.
 *
 * ```ts
 * import { createNodeEngine } from 'latent-consistency';
 * import { autoencoderTraining, train } from 'latent-consistency/training';
 *
 * await using engine = createNodeEngine();
 * const config = await autoencoderTraining.configure({ steps: 200, batch: 16 });
 * const { modelDirectory } = await train(autoencoderTraining, config, {
 *   engine,
 *   directory: 'runs/autoencoder',
 *   onProgress: (event) => console.log(event),
 * });
 * ```
 */

export type { CompileOptions, Engine, Executable, RunOptions } from './engines/engine.ts';
export type { Precision } from './engines/precision.ts';
export type { JudgeConfig } from './evaluation/judge.ts';
export type { ByteSource } from './files/files.ts';
export type { JsonObject } from './files/json.ts';
export type { DType, TypedArray } from './graph/dtype.ts';
export type { HostTensor } from './graph/host-tensor.ts';
export type { Program } from './graph/program.ts';
export type { Shape } from './graph/shape.ts';
export type {
  Attribute,
  ConstantNode,
  GradientRule,
  InputNode,
  Node,
  OperationNode,
  ParameterNode,
  Tensor,
} from './graph/tensor.ts';
export type { Image } from './images/image.ts';
export { type ActivationName, activationNames } from './layers/activations.ts';
export type { Initializer, RandomSource } from './layers/initializers.ts';
export type { Declaration } from './layers/params.ts';
export type { AutoencoderKLConfig } from './models/autoencoder-kl.ts';
export type { CLIPTextConfig } from './models/clip-text.ts';
export type {
  AdditionEmbedType,
  DownBlockType,
  MidBlockType,
  UNet2DConditionConfig,
  UpBlockType,
} from './models/unet-2d-condition-config.ts';
export { Generator, type GeneratorState } from './random/generator.ts';
export type { MersenneTwisterState } from './random/mersenne-twister.ts';
export type { PictureSize } from './training/data/picture-source.ts';
export { randomStream, ShuffledIndices } from './training/data/random-stream.ts';
export type { OnProgress, TrainingEvent } from './training/loop/events.ts';
export type { MetricsRecord } from './training/loop/metrics.ts';
export { Leaves } from './training/objectives/leaves.ts';
export type { Objective } from './training/objectives/objective.ts';
export { type AutoencoderRunConfig, autoencoderSettings } from './training/runs/autoencoder-config.ts';
export { type RunConfig, type RunDefaults, runSettings } from './training/runs/config.ts';
export { type DiffusionRunConfig, diffusionSettings } from './training/runs/diffusion-config.ts';
export { consistencyTraining } from './training/runs/distill.ts';
export {
  type DistillationRunConfig as ConsistencyRunConfig,
  distillationSettings as consistencySettings,
} from './training/runs/distillation-config.ts';
export { type JudgeRunConfig, judgeSettings } from './training/runs/judge-config.ts';
export type { Watch } from './training/runs/pictures.ts';
export type { AverageOptions, Batches, WrittenStep } from './training/runs/recipe.ts';
export { plan, type Recipe, type RecipeKind, train } from './training/runs/recipe.ts';
export type { NearPicture, RunIO, RunPlan, RunResult, Sample, SampleSheet } from './training/runs/run.ts';
export { group, readSettings } from './training/runs/settings.ts';
export { type TextRunConfig, textSettings } from './training/runs/text-config.ts';
export { autoencoderTraining } from './training/runs/train-autoencoder.ts';
export { diffusionTraining } from './training/runs/train-diffusion.ts';
export { judgeTraining } from './training/runs/train-judge.ts';
export { textTraining } from './training/runs/train-text.ts';
export type { Validation } from './training/runs/validation.ts';
export { FlatParameters, initialize, type Slot } from './training/update/flat-parameters.ts';
export type { Batch } from './training/update/stepper.ts';
export type { ForeignType, Storage, StoredType, Weight, Weights } from './weights/weights.ts';
