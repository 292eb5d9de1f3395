/**
 * What models are written with: `latent-consistency/graph`, in Node and in browsers. A model is a function that writes a
 * graph of operators, a derivative is more graph, and an engine runs it.
 *
 * ```ts
 * import { createReferenceEngine, grad, hostTensor, input, op, program } from 'latent-consistency/graph';
 *
 * const x = input('x', [3]);
 * const loss = op.reduceSum(op.square(x));
 * const [slope] = grad(loss, [x]);
 * const executable = await createReferenceEngine().compile(program({ loss, slope }));
 * const { slope: twice } = await executable.run({ x: hostTensor(Float32Array.of(1, 2, 3), [3]) });
 * console.log(twice.data); // Float32Array [ 2, 4, 6 ]
 * ```
 *
 * Layers name their weights where they use them; `DeclaredParams` lists them, `paramsFromWeights` takes stored ones.
 * A `Network` is called with values by a `NetworkRunner`; `pipelineOf` draws with one in place of a model's own.
 */

// Values and graphs.
export { type DType, isDType, type TypedArray } from './graph/dtype.ts';
export { countFlops } from './graph/flops.ts';
export { grad } from './graph/gradient.ts';
export { float32Data, type HostTensor, hostTensor, zeros } from './graph/host-tensor.ts';
export { type MemoryUse, memoryUse } from './graph/memory.ts';
/** All operators: each checks its operands, infers the shape of its result, and knows its gradient. */
export * as op from './graph/operators/index.ts';
export { type Program, program } from './graph/program.ts';
export { type Shape, ShapeError } from './graph/shape.ts';
export {
  type Attribute,
  type ConstantNode,
  constant,
  type GradientRule,
  type InputNode,
  input,
  type Node,
  type OperationNode,
  type OperationOptions,
  operation,
  type ParameterNode,
  parameter,
  rule,
  scalar,
  type Tensor,
} from './graph/tensor.ts';

// Layers, and where their weights come from.

export { type ActivationName, activation, activationNames } from './layers/activations.ts';
export {
  type AttentionOptions,
  attention,
  type FurtherContext,
  toFeatureMap,
  toSequence,
} from './layers/attention.ts';
export {
  embedding,
  type SinusoidOptions,
  sinusoid,
  type TimestepEmbeddingOptions,
  timestepEmbedding,
} from './layers/embeddings.ts';
export {
  fanInInitializer,
  type Initializer,
  normalInitializer,
  onesInitializer,
  type RandomSource,
  uniformInitializer,
  zerosInitializer,
} from './layers/initializers.ts';
export { type Conv2dOptions, conv2d, type LinearOptions, linear, linears } from './layers/linear.ts';
export { type LoraOptions, loraParams } from './layers/lora-parameters.ts';
export { groupNorm, layerNorm } from './layers/normalization.ts';
export {
  type Declaration,
  DeclaredParams,
  type GroupStatistics,
  type ParameterSource,
  Params,
  type StatisticsSource,
} from './layers/params.ts';
export { downsample, type ResnetBlockOptions, resnetBlock, upsample } from './layers/resnet-block.ts';
export { pooledTextEmbedding } from './layers/text-pooling.ts';
export { type Transformer2DOptions, transformer2D } from './layers/transformer-2d.ts';
export { Generator, type GeneratorState } from './random/generator.ts';
export type { MersenneTwisterState } from './random/mersenne-twister.ts';
export { loadTensors, weightsOf } from './weights/load-tensors.ts';
export { encodeSafetensors, parseSafetensors, type SafetensorsContent } from './weights/safetensors.ts';
export { paramsFromWeights, StoredParams } from './weights/source.ts';
export type { ForeignType, Storage, StoredType, Weight, Weights } from './weights/weights.ts';

// Models, as functions.

export { type CLIPTextConfig, type CLIPTextOutput, clipText, clipTextConfig } from './models/clip-text.ts';
export {
  type AddedCond,
  type Block,
  type UNet2DConditionInputs,
  type UNetFeatures,
  unet2DCondition,
  unetConditioning,
  unetEncoder,
} from './models/unet-2d-condition.ts';
export {
  type AdditionEmbedType,
  type DownBlockType,
  type MidBlockType,
  type UNet2DConditionConfig,
  type UpBlockType,
  unet2DConditionConfig,
} from './models/unet-2d-condition-config.ts';

// Engines.

export type {
  CompileOptions,
  DeviceTensor,
  Engine,
  Executable,
  KeepingEngine,
  KeepingExecutable,
  KeptResult,
  RunOptions,
  Value,
} from './engines/engine.ts';
export type { Precision } from './engines/precision.ts';
export { createReferenceEngine, type ReferenceEngineOptions } from './engines/reference/engine.ts';

// Parts of models, networks that are called with values, and pipelines of them.

export { type Autoencoder, autoencoder, type Posterior } from './components/autoencoder.ts';
export { type Component, type Components, loadComponents, type TextPart } from './components/components.ts';
export { type Denoiser, type DenoiserInputs, denoiser } from './components/denoiser.ts';
export type { Adaptation, Network, NetworkRole, Specs, TensorSpec, Tensors } from './networks/network.ts';
export { NetworkRunner, type RunnerOptions } from './networks/runner.ts';
export { pipelineOf } from './pipelines/pipeline.ts';

// The types that these mention of `latent-consistency/web`.

export type { Scheduler } from './components/scheduler.ts';
export type { BytePairVocabulary } from './text/byte-pair-encoding.ts';
export type {
  ClipTokenizer,
  ClipTokenizerOptions,
  SpecialToken,
  TokenizedText,
} from './text/clip-tokenizer.ts';
export type { TrainingCaptions } from './text/training-captions.ts';
export type * from './web.ts';
