/** The engines that commands offer. */
import type { NodeDevice, NodeEngineOptions } from '../engines/onnxruntime-node/engine.ts';

export type EngineName = NodeDevice;

export const engineNames: readonly EngineName[] = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'];

export function engineOptions(options: {
  readonly engine: EngineName;
  readonly threads?: number;
}): NodeEngineOptions {
  return { device: options.engine, threads: options.threads };
}
