/**
 * The library in Node.
 *
 * ```ts
 * const pipeline = await loadPipeline('models/postcards');
 * for await (const step of pipeline.generate({ prompt: 'a lighthouse by the sea at sunset', seed: 7 })) {
 *   show(await step.preview());
 * }
 * await pipeline.dispose();
 * ```
 */

export type { Engine, Executable } from './engines/engine.ts';
export { createNodeEngine, type NodeEngineOptions } from './engines/onnxruntime-node/engine.ts';
export { InputError, UsageError } from './errors.ts';
export { type HostTensor, hostTensor } from './graph/host-tensor.ts';
export { grid } from './images/grid.ts';
export { createImage, type Image } from './images/image.ts';
export { openImage } from './images/node/open-image.ts';
export { decodePng, encodePng } from './images/png.ts';
export { readPngText } from './images/png-text.ts';
export type { Generation, GenerationStep } from './pipelines/generation.ts';
export type { ModelFiles, StoredNetwork } from './pipelines/model-files.ts';
export { diffusersFiles } from './pipelines/node/diffusers-files.ts';
export { type LoadOptions, loadPipeline } from './pipelines/node/load.ts';
export {
  type PictureSettings,
  pictureRequest,
  pictureSettings,
  pictureText,
  readPictureSettings,
} from './pipelines/picture-text.ts';
export { createPipeline, type Pipeline, type PipelineOptions } from './pipelines/pipeline.ts';
export { type SchedulerName, schedulerNames } from './pipelines/scheduler.ts';
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
export { openLora } from './weights/node/lora.ts';
