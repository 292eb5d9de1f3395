/**
 * The library without Node: `latent-consistency/web`, for pages and workers. Models come from a server, from files that
 * people choose, or from memory; the engine that computes is given.
 *
 * ```ts
 * const files = await modelFilesIn(httpFiles('https://example.org/models/postcards'));
 * const pipeline = await createPipeline(files, engine);
 * const { images } = await pipeline.generate({ prompt: 'a windmill in the snow', seed: 7 });
 * context.putImageData(images[0].toImageData(), 0, 0);
 * ```
 *
 * `modelFilesIn` opens diffusers directories, `singleFileIn` checkpoints in one file, `loraIn` LoRAs for
 * `createPipeline`; `withUNet` and `withAutoencoder` put parts of other models into one.
 */

export type { GenerationDefaults } from './components/components.ts';
export { modelFilesIn } from './components/diffusers-files.ts';
export { loraIn } from './components/lora-files.ts';
export type {
  CheckpointFacts,
  ModelFiles,
  StoredAutoencoder,
  StoredNetwork,
} from './components/model-files.ts';
export { autoencoderIn, autoencoderInFile, withAutoencoder } from './components/other-autoencoder.ts';
export { type OtherUNet, unetIn, unetInFile, withUNet } from './components/other-unet.ts';
export { type SchedulerName, schedulerNames } from './components/scheduler.ts';
export { type SingleFile, type SingleFileSources, singleFileIn } from './components/single-file.ts';
export type { TokenizerPlace } from './components/single-file-tokenizer.ts';
export type { Size } from './components/size.ts';
export { type PredictionType, predictionTypes } from './diffusion/prediction.ts';
export type { SchedulerConfig } from './diffusion/samplers/config.ts';
export type { ConsistencyTimestepOptions } from './diffusion/samplers/consistency-timesteps.ts';
export type { DdimOptions } from './diffusion/samplers/ddim.ts';
export type { SamplerKind } from './diffusion/samplers/index.ts';
export {
  type Sampler,
  type SamplerOptions,
  type SamplerStep,
  samplerFromConfig,
  samplerKinds,
} from './diffusion/samplers/index.ts';
export type { LcmOptions } from './diffusion/samplers/lcm.ts';
export type { TcdOptions } from './diffusion/samplers/tcd.ts';
export type { CompileOptions, Engine, Executable, RunOptions } from './engines/engine.ts';
export type { Precision } from './engines/precision.ts';
export type { ErrorCode, ErrorFields, ErrorJson, InputErrorFields, Mention, Message } from './errors.ts';
export { InputError, SettingError, UsageError } from './errors.ts';
export { blobFiles, memoryFiles } from './files/blobs.ts';
export type { ByteSource, Files } from './files/files.ts';
export { type HttpFilesOptions, httpFiles } from './files/http.ts';
export type { JsonObject } from './files/json.ts';
export type { DType, TypedArray } from './graph/dtype.ts';
export { type HostTensor, hostTensor } from './graph/host-tensor.ts';
export type { Program } from './graph/program.ts';
export type { Quantization } from './graph/quantize.ts';
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
export type { GridOptions } from './images/grid.ts';
export { grid } from './images/grid.ts';
export { createImage, type Image } from './images/image.ts';
export { decodePng, encodePng } from './images/png.ts';
export { type PngText, readPngText } from './images/png-text.ts';
export type { RandomSource } from './layers/initializers.ts';
export type { NetworksOptions } from './networks/networks.ts';
export type { RunnerOptions, WeightsProgress } from './networks/runner.ts';
export type { Drawing } from './pipelines/drawing.ts';
export type { Generation, GenerationStep } from './pipelines/generation.ts';
export type { Picture, PngOptions } from './pipelines/picture.ts';
export {
  type DrawnWith,
  type PictureFile,
  type PictureLora,
  type PictureSettings,
  type PictureUNet,
  pictureRequest,
  pictureSettings,
  pictureText,
  readPictureSettings,
  type Surroundings,
} from './pipelines/picture-text.ts';
export {
  createPipeline,
  type Pipeline,
  type PipelineInfo,
  type PipelineOptions,
} from './pipelines/pipeline.ts';
export {
  checkRequest,
  type RequestSetting,
  readRequest,
  readSetting,
  requestSettings,
  type SettingName,
} from './pipelines/request-settings.ts';
export type { SettingKind } from './pipelines/setting-kinds.ts';
export type {
  GenerationRequest,
  ImageToImageRequest,
  InpaintRequest,
  Settings,
  TextToImageRequest,
} from './pipelines/settings.ts';
export type { Stage, Timings } from './pipelines/timings.ts';
export type { GeneratorState } from './random/generator.ts';
export { Generator } from './random/generator.ts';
export type { MersenneTwisterState } from './random/mersenne-twister.ts';
export { VERSION } from './version.ts';
export type { AppliedLora } from './weights/lora.ts';
export type { Lora, LoraLayer, ReadLoraOptions } from './weights/lora-file.ts';
export type { LoraComponent } from './weights/lora-names.ts';
export type { AdapterConfig } from './weights/lora-settings.ts';
export type {
  Checkpoint,
  CheckpointNetwork,
  CheckpointPrediction,
} from './weights/single-file/checkpoint.ts';
export type { Family } from './weights/single-file/published.ts';
export type { TextEncoderKind } from './weights/single-file/text-encoder.ts';
export type { ForeignType, Storage, StoredType, Weight, Weights } from './weights/weights.ts';
