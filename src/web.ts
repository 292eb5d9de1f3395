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
 */

export type { Component, Components, GenerationDefaults } from './components/components.ts';
export { modelFilesIn } from './components/diffusers-files.ts';
export type { ModelFiles, StoredNetwork } from './components/model-files.ts';
export { type SchedulerName, schedulerNames } from './components/scheduler.ts';
export type { PredictionType } from './diffusion/prediction.ts';
export * from './diffusion/samplers/index.ts';
export type { CompileOptions, Engine, Executable, RunOptions } from './engines/engine.ts';
export { InputError, SettingError, UsageError } from './errors.ts';
export { blobFiles, memoryFiles } from './files/blobs.ts';
export type { ByteSource, Files } from './files/files.ts';
export { type HttpFilesOptions, httpFiles } from './files/http.ts';
export { type HostTensor, hostTensor } from './graph/host-tensor.ts';
export type { Program } from './graph/program.ts';
export { grid } from './images/grid.ts';
export { createImage, type Image } from './images/image.ts';
export { decodePng, encodePng } from './images/png.ts';
export { type PngText, readPngText } from './images/png-text.ts';
export type { Drawing } from './pipelines/drawing.ts';
export type { Generation, GenerationStep } from './pipelines/generation.ts';
export type { Picture } from './pipelines/picture.ts';
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
export { createPipeline, type Pipeline, type PipelineOptions } from './pipelines/pipeline.ts';
export {
  type RequestSetting,
  requestSettings,
  type SettingName,
} from './pipelines/request-settings.ts';
export type {
  GenerationRequest,
  ImageToImageRequest,
  InpaintRequest,
  Settings,
  TextToImageRequest,
} from './pipelines/settings.ts';
export type { Stage, Timings } from './pipelines/timings.ts';
export { Generator } from './random/generator.ts';
export { VERSION } from './version.ts';
export type { AppliedLora } from './weights/lora.ts';
export type { Lora } from './weights/lora-file.ts';
export type { Weights } from './weights/weights.ts';
