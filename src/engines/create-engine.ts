/** Engines by the names that people give them, and the names that pictures carry. */
import { UsageError } from '../errors.ts';
import type { KeepingEngine } from './engine.ts';
import {
  createNodeEngine,
  type NodeDevice,
  type NodeEngineOptions,
  nodeEngineName,
} from './onnxruntime-node/engine.ts';
import { deviceName, isOpenVino, type OpenVinoDevice } from './openvino/devices.ts';
import { createOpenVinoEngine, openVinoEngineName } from './openvino/engine.ts';
import type { Precision } from './precision.ts';

/** A device of ONNX Runtime, or one of OpenVINO: `openvino` is the processor, `openvino:GPU` a graphics processor. */
export type EngineDevice = NodeDevice | OpenVinoDevice;

/** Which engine computes, and how. */
export interface EngineOptions extends Omit<NodeEngineOptions, 'device'> {
  readonly device?: EngineDevice;
  /** Default: float32. ONNX Runtime computes in no other; which others a device has, `lcm doctor` says. */
  readonly precision?: Precision | undefined;
}

/** Throws UsageError for a precision that the engine does not have, InputError where OpenVINO is not found. */
export function createEngine(options: EngineOptions = {}): KeepingEngine & AsyncDisposable {
  const { device = 'cpu', precision = 'float32', threads, compiledCache } = options;
  if (isOpenVino(device)) {
    return createOpenVinoEngine({ device, precision, threads, compiledCache });
  }
  if (precision !== 'float32') {
    throw new UsageError(
      `the engine ${device} computes in float32 alone; for ${precision} take the engine openvino`,
    );
  }
  return createNodeEngine({ ...options, device });
}

/** What the engine of a device is called in reports and pictures. */
export function engineName(device: EngineDevice): string {
  return isOpenVino(device) ? openVinoEngineName(device) : nodeEngineName(device);
}

/** The device of an engine of that name; undefined for a name that is none of ours. */
export function deviceOf(name: string): EngineDevice | undefined {
  const [engine, device] = name.split('/');
  if (engine === 'openvino') return device === 'CPU' ? 'openvino' : `openvino:${device}`;
  return (['cpu', 'webgpu', 'cuda', 'coreml', 'dml'] as const).find((each) => each === device);
}

/** Whether it computes on the processor, in the machine's memory. */
export function isOnProcessor(device: EngineDevice): boolean {
  return isOpenVino(device) ? deviceName(device) === 'CPU' : device === 'cpu';
}
