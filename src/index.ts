/**
 * The library in Node: all of `web.ts`, the part for browsers, and what needs Node. `training.ts` is that for training.
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
 * `loadPipeline` also takes checkpoints, and downloads models when that is asked for; `openLora` opens LoRAs; `evaluate`
 * measures models of postcards.
 */

export { diffusersFiles } from './components/node/diffusers-files.ts';
export { modelFingerprint } from './components/node/fingerprint.ts';
export { openLora } from './components/node/open-lora.ts';
export type { OtherParts } from './components/node/open-model.ts';
export { type OpenModelOptions, openModel } from './components/node/open-model.ts';
export type { SingleFileOptions } from './components/node/single-file.ts';
export type { StoredModel } from './components/node/stored-model.ts';
export { createContext } from './datasets/node/canvas.ts';
export type { Canvas2D, Gradient } from './datasets/postcards/canvas2d.ts';
export type { LABEL_HEADS, LabelHead } from './datasets/postcards/labels.ts';
export type { DeviceTensor, KeepingEngine, KeepingExecutable, KeptResult, Value } from './engines/engine.ts';
export type { NodeDevice } from './engines/onnxruntime-node/engine.ts';
export { createNodeEngine, type NodeEngineOptions } from './engines/onnxruntime-node/engine.ts';
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
export { type CachedModelOptions, cachedModel, findCachedModel } from './hub/node/cache.ts';
export { type PullOptions, type PullProgress, pullModel } from './hub/node/pull.ts';
export type { HubWait } from './hub/node/requests.ts';
export type { SelectionOptions } from './hub/node/select-files.ts';
export type { HubSettings, HubTimeouts, HubToken } from './hub/node/settings.ts';
export { openImage } from './images/node/open-image.ts';
export { type LoadOptions, type LoadProgress, loadPipeline } from './pipelines/node/load.ts';
export { type JsonSchema, requestSchema } from './pipelines/request-schema.ts';
export * from './web.ts';
export type { HashOptions } from './weights/node/file-hash.ts';
export { hashFile, hashTensors } from './weights/node/file-hash.ts';
