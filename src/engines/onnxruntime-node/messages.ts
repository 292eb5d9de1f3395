/** What the engine asks of its worker thread. */
import type { CommonRequest } from '../thread/messages.ts';

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

export interface CompileRequest {
  readonly kind: 'compile';
  readonly session: number;
  /** A serialised model, or the path of one. */
  readonly model: Uint8Array | string;
  readonly external: readonly ExternalValue[];
  /** The folder from which the model's references to files start. */
  readonly folder: string | undefined;
  readonly settings: SessionSettings;
  /** Outputs that stay on the device. */
  readonly keep: readonly string[];
  /** Nothing is kept but the optimised model, at `path`, with its packed weights in the file `weights` beside it. */
  readonly saveAs?: { readonly path: string; readonly weights: string } | undefined;
}

export type Request = CompileRequest | CommonRequest;
