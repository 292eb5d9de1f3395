/** What the engine asks of its worker thread. */
import type { Precision } from '../precision.ts';
import type { CommonRequest, CommonResult, WireTensor } from '../thread/messages.ts';
import type { Properties } from './library.ts';

export interface CompileRequest {
  readonly kind: 'compile';
  readonly session: number;
  /** `libopenvino_c`, wherever it was found. */
  readonly library: string;
  readonly model: Uint8Array;
  readonly device: string;
  readonly precision: Precision;
  readonly properties: Properties;
  /** The model's inputs by name, and its outputs. */
  readonly inputs: readonly string[];
  readonly outputs: readonly Omit<WireTensor, 'data'>[];
}

export type Request =
  | CompileRequest
  /** Whether files can be read wherever they lie. */
  | { readonly kind: 'enterRoot' }
  /** What the library is, and which devices it has. */
  | { readonly kind: 'describe'; readonly library: string }
  /** A value that is kept. */
  | { readonly kind: 'read'; readonly kept: number }
  | CommonRequest;

/** A device as OpenVINO describes it. */
export interface DeviceDescription {
  /** `GPU.0` */
  readonly name: string;
  readonly fullName: string;
  readonly precisions: readonly Precision[];
}

export interface Description {
  readonly kind: 'described';
  readonly version: string;
  readonly devices: readonly DeviceDescription[];
}

export type Result =
  | Description
  | { readonly kind: 'entered'; readonly readsFiles: boolean }
  | { readonly kind: 'read'; readonly value: WireTensor }
  | CommonResult;
