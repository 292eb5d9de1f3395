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

export type { Components, GenerationDefaults } from './components/components.ts';
export type { ModelFiles, StoredNetwork } from './components/model-files.ts';
export { diffusersFiles } from './components/node/diffusers-files.ts';
export { modelFingerprint } from './components/node/fingerprint.ts';
export { openLora } from './components/node/open-lora.ts';
export { type OpenModelOptions, openModel } from './components/node/open-model.ts';
export { type SchedulerName, schedulerNames } from './components/scheduler.ts';
export { createContext } from './datasets/node/canvas.ts';
export type { PredictionType } from './diffusion/prediction.ts';
export type { Engine, Executable } from './engines/engine.ts';
export { createNodeEngine, type NodeEngineOptions } from './engines/onnxruntime-node/engine.ts';
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
export type { Fidelity } from './evaluation/fidelity.ts';
export { Judging } from './evaluation/judging.ts';
export { openJudge } from './evaluation/node/judge-files.ts';
export { type HostTensor, hostTensor } from './graph/host-tensor.ts';
export { type CachedModelOptions, cachedModel, findCachedModel } from './hub/node/cache.ts';
export { type PullOptions, type PullProgress, pullModel } from './hub/node/pull.ts';
export { grid } from './images/grid.ts';
export { createImage, type Image } from './images/image.ts';
export { openImage } from './images/node/open-image.ts';
export { decodePng, encodePng } from './images/png.ts';
export { readPngText } from './images/png-text.ts';
export type { Drawing } from './pipelines/drawing.ts';
export type { Generation, GenerationStep } from './pipelines/generation.ts';
export { type LoadOptions, loadPipeline } from './pipelines/node/load.ts';
export type { Picture } from './pipelines/picture.ts';
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
export { createPipeline, type Pipeline, type PipelineOptions } from './pipelines/pipeline.ts';
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
export { Generator } from './random/generator.ts';
export type { AppliedLora } from './weights/lora.ts';
export type { Lora } from './weights/lora-file.ts';
export { hashFile, hashTensors } from './weights/node/file-hash.ts';
