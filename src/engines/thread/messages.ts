/** What engines and their worker threads say to each other, whatever computes there. */
import type { DType, TypedArray } from '../../graph/dtype.ts';
import type { Shape } from '../../graph/shape.ts';
import type { Cancellation } from './cancellation.ts';
import type { Gate } from './exit-gate.ts';

/** What the thread shares with whoever started it. */
export interface WorkerData {
  readonly gate: Gate;
  readonly cancellation: Cancellation;
}

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

export interface RunRequest {
  readonly kind: 'run';
  readonly session: number;
  readonly inputs: readonly (WireTensor | KeptInput)[];
  /** What the outputs that stay on the device are kept under. */
  readonly keep: readonly KeptInput[];
}

/** What every thread answers; an engine adds how it compiles. */
export type CommonRequest =
  | RunRequest
  | { readonly kind: 'drop'; readonly kept: number }
  | { readonly kind: 'release'; readonly session: number }
  /** Releases every session: the thread may be ended. */
  | { readonly kind: 'close' };

/** `inputs` come back so that their memory is used again. */
export interface RunResult {
  readonly kind: 'ran';
  readonly outputs: readonly WireTensor[];
  readonly kept: readonly KeptOutput[];
  readonly inputs: readonly WireTensor[];
}

export type CommonResult = { readonly kind: 'done' } | RunResult;

/** Every request is answered by one reply with its id. */
export interface RequestMessage<Request> {
  readonly id: number;
  readonly request: Request;
}

export type ReplyMessage<Result> =
  | { readonly id: number; readonly ok: true; readonly result: Result }
  | { readonly id: number; readonly ok: false; readonly message: string };
