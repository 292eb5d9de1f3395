/**
 * The library in Node: all of `web.ts`, the part for browsers, and what needs Node. `training.ts`, `evaluation.ts` and
 * `graph.ts` are entries of their own: those for training, for measuring, and for writing models.
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
 * `loadPipeline` also takes checkpoints, and downloads models when that is asked for; `openLora` opens LoRAs for it.
 */

// To begin with.

export { openLora } from './components/node/open-lora.ts';
export { InputError, SettingError, UsageError } from './errors.ts';
export { type PullOptions, type PullProgress, pullModel } from './hub/node/pull.ts';
export { openImage } from './images/node/open-image.ts';
export {
  type LoadOptions,
  type LoadProgress,
  loadPipeline,
  type StartOptions,
} from './pipelines/node/load.ts';

// Models of this machine, for pipelines on an engine of one's own.

export { diffusersFiles } from './components/node/diffusers-files.ts';
export { modelFingerprint } from './components/node/fingerprint.ts';
export { type OpenModelOptions, type OtherParts, openModel } from './components/node/open-model.ts';
export type { SingleFileOptions } from './components/node/single-file.ts';
export type { StoredModel } from './components/node/stored-model.ts';
export { createEngine, type EngineDevice, type EngineOptions } from './engines/create-engine.ts';
export type { DeviceTensor, KeepingEngine, KeepingExecutable, KeptResult, Value } from './engines/engine.ts';
export {
  createNodeEngine,
  type NodeDevice,
  type NodeEngineOptions,
} from './engines/onnxruntime-node/engine.ts';
export type { OpenVinoDevice } from './engines/openvino/devices.ts';
export { folderFiles } from './files/node/folder.ts';
export { type CachedModelOptions, cachedModel, findCachedModel } from './hub/node/cache.ts';
export type { HubWait } from './hub/node/requests.ts';
export type { SelectionOptions } from './hub/node/select-files.ts';
export type { HubSettings, HubTimeouts, HubToken } from './hub/node/settings.ts';
export { type HashOptions, hashFile, hashTensors } from './weights/node/file-hash.ts';

// A model in use, for whoever draws for others: a server, a window.

export { Session, type SessionOptions } from './drawing/session.ts';
export { type OpenedModel, openForDrawing } from './pipelines/node/opened-model.ts';

// What requests may say, and all that needs no Node.

export { type JsonSchema, requestSchema } from './pipelines/request-schema.ts';
export * from './web.ts';
