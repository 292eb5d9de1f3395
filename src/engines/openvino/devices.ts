/** OpenVINO's devices, and what they compute in. */
import { UsageError } from '../../errors.ts';
import type { Precision } from '../precision.ts';

/** `openvino` is its CPU; `openvino:GPU` its first graphics processor, `openvino:GPU.1` the second. */
export type OpenVinoDevice = 'openvino' | `openvino:${string}`;

/** The devices whose names are offered. */
export const openVinoDevices: readonly OpenVinoDevice[] = ['openvino', 'openvino:GPU', 'openvino:NPU'];

export function isOpenVino(device: string): device is OpenVinoDevice {
  return /^openvino(:|$)/i.test(device);
}

/** OpenVINO's own name, `GPU.1`. Throws UsageError for one that it cannot have. */
export function deviceName(device: OpenVinoDevice): string {
  const name = device.slice('openvino:'.length).toUpperCase() || 'CPU';
  if (/^(CPU|GPU|NPU)(\.\d+)?$/.test(name)) return name;
  throw new UsageError(
    `"${device}" is no device of OpenVINO; use openvino:CPU, openvino:GPU or openvino:NPU`,
  );
}

/** Each precision's INFERENCE_PRECISION_HINT, and its word among a device's OPTIMIZATION_CAPABILITIES. */
export const precisionNames: Readonly<
  Record<Precision, { readonly hint: string; readonly capability: string }>
> = {
  float32: { hint: 'f32', capability: 'FP32' },
  bfloat16: { hint: 'bf16', capability: 'BF16' },
  float16: { hint: 'f16', capability: 'FP16' },
};

/** In which of them a device computes by its list of capabilities. */
export function precisionsIn(capabilities: string): Precision[] {
  const words = new Set(capabilities.split(' '));
  return (Object.keys(precisionNames) as Precision[]).filter((name) =>
    words.has(precisionNames[name].capability),
  );
}
