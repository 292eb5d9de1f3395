/** What the engine and its worker thread say to each other. Every request is answered by one reply with its id. */
import type { DType, TypedArray } from '../../graph/dtype.ts';
import type { Shape } from '../../graph/shape.ts';
import type { Cancellation } from './cancellation.ts';
import type { Gate } from './exit-gate.ts';

/** What the thread shares with whoever started it. */
export interface WorkerData {
  readonly gate: Gate;
  readonly cancellation: Cancellation;
}

export interface SessionSettings {
  readonly executionProviders: readonly string[];
  readonly threads: number | undefined;
  readonly optimization: 'all' | 'extended' | 'basic' | 'disabled';
  readonly allowSpinning: boolean;
  /** Whether a run takes the memory of all its values at once, as the run before it used it. */
  readonly memoryPattern: boolean;
  /** Whether memory that a run is done with is kept for the next one. */
  readonly arena: boolean;
  /** Where ONNX Runtime writes its profiles: the path's beginning, to which it adds the time. */
  readonly profilePrefix: string | undefined;
}

/** A value that is given with the model: bytes that are handed over, or a range of a file to be read. */
export type ExternalValue =
  | { readonly location: string; readonly bytes: Uint8Array }
  | { readonly location: string; readonly path: string; readonly offset: number; readonly length: number };

export interface WireTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: TypedArray;
}

/** An input that lies with the worker: a value that an earlier run kept. */
export interface KeptInput {
  readonly name: string;
  readonly kept: number;
}

/** An output that stays with the worker, under a number that the engine chose. */
export interface KeptOutput extends KeptInput, Pick<WireTensor, 'dtype' | 'shape'> {}

export type Request =
  | {
      readonly kind: 'compile';
      readonly session: number;
      readonly model: Uint8Array;
      readonly external: readonly ExternalValue[];
      /** The folder from which the model's references to files start. */
      readonly folder: string | undefined;
      readonly settings: SessionSettings;
      /** Outputs that stay on the device. */
      readonly keep: readonly string[];
    }
  | {
      readonly kind: 'run';
      readonly session: number;
      readonly inputs: readonly (WireTensor | KeptInput)[];
      /** What the outputs that stay on the device are kept under. */
      readonly keep: readonly KeptInput[];
    }
  | { readonly kind: 'drop'; readonly kept: number }
  | { readonly kind: 'release'; readonly session: number }
  /** Releases every session: the thread may be ended. */
  | { readonly kind: 'close' };

export type Result =
  | { readonly kind: 'done' }
  /** `inputs` come back so that their memory is used again. */
  | {
      readonly kind: 'ran';
      readonly outputs: readonly WireTensor[];
      readonly kept: readonly KeptOutput[];
      readonly inputs: readonly WireTensor[];
    };

export interface RequestMessage {
  readonly id: number;
  readonly request: Request;
}

export type ReplyMessage =
  | { readonly id: number; readonly ok: true; readonly result: Result }
  | { readonly id: number; readonly ok: false; readonly message: string };
