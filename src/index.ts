/**
 * The library in Node; `web.ts` is the part of it for browsers, `training.ts` that for training.
 *
 * ```ts
 * import { loadPipeline } from 'latent-consistency';
 *
 * const pipeline = await loadPipeline(); // or a path
 * const drawing = pipeline.generate({ prompt: 'a lighthouse by the sea at sunset', seed: 7 });
 * for await (const step of drawing) show(await step.preview()); // or leave this out
 * const { images } = await drawing;
 * await images[0].save('lighthouse.png'); // with its settings inside
 * await pipeline.dispose();
 * ```
 *
 * `loadPipeline` also takes checkpoints, and `pullModel` downloads models; `openLora` opens LoRAs for it; `evaluate`
 * measures models of postcards.
 */

export type { GenerationDefaults } from './components/components.ts';
export type {
  CheckpointFacts,
  ModelFiles,
  StoredAutoencoder,
  StoredNetwork,
} from './components/model-files.ts';
export { diffusersFiles } from './components/node/diffusers-files.ts';
export { modelFingerprint } from './components/node/fingerprint.ts';
export { openLora } from './components/node/open-lora.ts';
export type { OtherParts } from './components/node/open-model.ts';
export { type OpenModelOptions, openModel } from './components/node/open-model.ts';
export type { SingleFileOptions } from './components/node/single-file.ts';
export type { StoredModel } from './components/node/stored-model.ts';
export { type SchedulerName, schedulerNames } from './components/scheduler.ts';
export type { Size } from './components/size.ts';
export { createContext } from './datasets/node/canvas.ts';
export type { Canvas2D, Gradient } from './datasets/postcards/canvas2d.ts';
export type { LABEL_HEADS, LabelHead } from './datasets/postcards/labels.ts';
export { type PredictionType, predictionTypes } from './diffusion/prediction.ts';
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
export type { NodeDevice } from './engines/onnxruntime-node/engine.ts';
export { createNodeEngine, type NodeEngineOptions } from './engines/onnxruntime-node/engine.ts';
export type { Mention, Message } from './errors.ts';
export { InputError, SettingError, UsageError } from './errors.ts';
export { Autoencoding } from './evaluation/autoencoding.ts';
export {
  contactSheet,
  type Evaluation,
  type EvaluationOptions,
  type EvaluationProgress,
  type EvaluationRow,
  evaluate,
  type Sampling,
} from './evaluation/evaluate.ts';
export type { Answers, Fidelity } from './evaluation/fidelity.ts';
export type { JudgeConfig } from './evaluation/judge.ts';
export type { Judged } from './evaluation/judging.ts';
export { Judging } from './evaluation/judging.ts';
export { openJudge } from './evaluation/node/judge-files.ts';
export type { ByteSource } from './files/files.ts';
export type { JsonObject } from './files/json.ts';
export type { DType, TypedArray } from './graph/dtype.ts';
export { type HostTensor, hostTensor } from './graph/host-tensor.ts';
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
export { type CachedModelOptions, cachedModel, findCachedModel } from './hub/node/cache.ts';
export { type PullOptions, type PullProgress, pullModel } from './hub/node/pull.ts';
export type { HubWait } from './hub/node/requests.ts';
export type { SelectionOptions } from './hub/node/select-files.ts';
export type { HubSettings, HubTimeouts, HubToken } from './hub/node/settings.ts';
export type { GridOptions } from './images/grid.ts';
export { grid } from './images/grid.ts';
export { createImage, type Image } from './images/image.ts';
export { openImage } from './images/node/open-image.ts';
export { decodePng, encodePng } from './images/png.ts';
export type { PngText } from './images/png-text.ts';
export { readPngText } from './images/png-text.ts';
export type { RandomSource } from './layers/initializers.ts';
export type { NetworksOptions } from './networks/networks.ts';
export type { RunnerOptions } from './networks/runner.ts';
export type { Drawing } from './pipelines/drawing.ts';
export type { Generation, GenerationStep } from './pipelines/generation.ts';
export { type LoadOptions, loadPipeline } from './pipelines/node/load.ts';
export type { Picture } from './pipelines/picture.ts';
export type { PictureUNet } from './pipelines/picture-text.ts';
export {
  type DrawnWith,
  type PictureFile,
  type PictureLora,
  type PictureSettings,
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
export { type JsonSchema, requestSchema } from './pipelines/request-schema.ts';
export {
  type RequestSetting,
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
export type { AppliedLora } from './weights/lora.ts';
export type { Lora, LoraLayer, ReadLoraOptions } from './weights/lora-file.ts';
export type { LoraComponent } from './weights/lora-names.ts';
export type { AdapterConfig } from './weights/lora-settings.ts';
export type { HashOptions } from './weights/node/file-hash.ts';
export { hashFile, hashTensors } from './weights/node/file-hash.ts';
export type {
  Checkpoint,
  CheckpointNetwork,
  CheckpointPrediction,
} from './weights/single-file/checkpoint.ts';
export type { Family } from './weights/single-file/published.ts';
export type { TextEncoderKind } from './weights/single-file/text-encoder.ts';
export type { ForeignType, Storage, StoredType, Weight, Weights } from './weights/weights.ts';
