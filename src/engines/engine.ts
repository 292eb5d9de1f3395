/** What runs programs. One interface; ONNX Runtime in Node, ONNX Runtime in browsers, and the plain reference. */
import type { DType } from '../graph/dtype.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import type { Program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import type { Weights } from '../weights/weights.ts';
import type { Precision } from './precision.ts';

/** What computes programs: ONNX Runtime, or anything else that has their operators. */
export interface Engine {
  /** For people and reports, e.g. `onnxruntime-node/cpu`. */
  readonly name: string;

  /** In what it computes. Default: float32. */
  readonly precision?: Precision;

  /**
   * Makes a program ready to run. Parameters found in `weights` are bound once (packed, cast, moved to the
   * device); the others become inputs of every run, as they must while they are trained.
   */
  compile(program: Program, options?: CompileOptions): Promise<Executable>;

  /** Frees every executable and whatever the engine holds (threads, devices). */
  dispose(): Promise<void>;

  /** About the most bytes of weights that a streamed program holds at a time; undefined for engines that hold all. */
  readonly streamedBytes?: number | undefined;
}

/** An engine that can leave values where it computed them. */
export interface KeepingEngine extends Engine {
  /**
   * `compile` for a program some of whose outputs, `keep`, stay with the engine, to be given to its later runs without
   * a copy: parameters that are trained on a graphics processor, the state of a long generation. Throws UsageError for
   * one that is no output.
   */
  compileKeeping(
    program: Program,
    keep: readonly string[],
    options?: CompileOptions,
  ): Promise<KeepingExecutable>;
}

/** What is bound to a program when it is compiled. */
export interface CompileOptions {
  readonly weights?: Weights;
  /** What profiles and errors call the program. */
  readonly name?: string;
  /**
   * Hold only some of a large program's weights at a time: every run prepares them anew, a part of the program while the
   * one before it runs, and lets go of them. Engines that cannot do so hold them all.
   */
  readonly streamed?: boolean;
  /** Hears how many bytes of weights were made ready; of a large program part by part. */
  readonly onWeights?: ((bytes: number) => void) | undefined;
  /** Once it is aborted the engine begins with nothing more, and rejects with the reason unless it was done. */
  readonly signal?: AbortSignal;
}

/** A program that an engine is ready to run. */
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

/** A value that stays where an engine computed it. Other engines refuse it. */
export interface DeviceTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  /** A copy on the host. Rejects after `dispose`. */
  read(): Promise<HostTensor>;
  /** Lets go of its memory. */
  dispose(): Promise<void>;
}

/** An input of a run. */
export type Value = HostTensor | DeviceTensor;

/** Whether a value lies in the host's memory. */
export function isHostTensor(value: Value): value is HostTensor {
  return 'data' in value;
}

/** An executable that keeps some of its outputs where it computes. */
export interface KeepingExecutable {
  /** As `Executable.run`; values that were kept may be given back. */
  run(inputs: Readonly<Record<string, Value>>, options?: RunOptions): Promise<KeptResult>;
  /** Values that were kept stay valid. */
  dispose(): Promise<void>;
}

/** What a run gives whose program keeps some of its outputs. */
export interface KeptResult {
  readonly outputs: Record<string, HostTensor>;
  /** Those that the program was compiled to keep. Whoever gets them disposes of them. */
  readonly kept: Record<string, DeviceTensor>;
}

/** How one run is done. */
export interface RunOptions {
  /**
   * Rejects at once with its reason. A run that has not begun does not begin. ONNX Runtime cannot break off one that
   * has, so its thread computes to the end of it, for nobody, before it turns to the next.
   */
  readonly signal?: AbortSignal;
}
