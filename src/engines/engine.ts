/** What runs programs. One interface; ONNX Runtime in Node, ONNX Runtime in browsers, and the plain reference. */
import type { HostTensor } from '../graph/host-tensor.ts';
import type { Program } from '../graph/program.ts';
import type { Weights } from '../weights/weights.ts';

export interface Engine {
  /** For people and reports, e.g. `onnxruntime-node/cpu`. */
  readonly name: string;

  /**
   * Makes a program ready to run. Parameters found in `weights` are bound once (packed, cast, moved to the
   * device); the others become inputs of every run, as they must while they are trained.
   */
  compile(program: Program, options?: CompileOptions): Promise<Executable>;

  /** Frees every executable and whatever the engine holds (threads, devices). */
  dispose(): Promise<void>;
}

export interface CompileOptions {
  readonly weights?: Weights;
  /** Shown in profiles and errors. */
  readonly name?: string;
}

export interface Executable {
  /**
   * Runs once. `inputs` holds every input and every unbound parameter by name; a missing, surplus or wrongly
   * shaped one is an error that names it. Never blocks the event loop for longer than copying takes.
   */
  run(
    inputs: Readonly<Record<string, HostTensor>>,
    options?: RunOptions,
  ): Promise<Record<string, HostTensor>>;
  dispose(): Promise<void>;
}

export interface RunOptions {
  /**
   * Rejects at once with its reason. ONNX Runtime cannot break off a run, so its thread computes to the end of it, for
   * nobody, before it turns to the next.
   */
  readonly signal?: AbortSignal;
}
