/**
 * OpenVINO's C interface (openvino/c/openvino.h), as far as the engine needs it. Whatever it makes is freed by `free`,
 * once and after everything that was made from it.
 */
import type { DType } from '../../graph/dtype.ts';
import type { Shape } from '../../graph/shape.ts';
import { addressOf, loadKoffi, type NativeFunction } from './koffi.ts';

/** ov_element_type_e */
const elementTypes: Readonly<Record<DType, number>> = {
  bool: 1,
  bfloat16: 2,
  float16: 3,
  float32: 4,
  float64: 5,
  int8: 7,
  int32: 9,
  int64: 10,
  uint8: 16,
};

/** ov_status_e */
const RESULT_NOT_READY = -9;

const koffi = loadKoffi();
koffi.struct('ov_version_t', { buildNumber: 'const char *', description: 'const char *' });
koffi.struct('ov_available_devices_t', { devices: 'char **', size: 'size_t' });
koffi.struct('ov_shape_t', { rank: 'int64_t', dims: 'int64_t *' });

type Pointer = bigint;
/** Where a function leaves what it gives. */
type Out<T> = [T | null];

export type Properties = Readonly<Record<string, string>>;

/** OpenVINO as a thread has loaded it. Errors are OpenVINO's own words. */
export class OpenVinoLibrary {
  readonly #functions: Readonly<Record<keyof typeof declarations, NativeFunction>>;

  /** path: of `libopenvino_c`. Throws when it cannot be loaded. */
  constructor(path: string) {
    const library = koffi.load(path);
    this.#functions = Object.fromEntries(
      Object.entries(declarations).map(([name, declaration]) => [name, library.func(declaration)]),
    ) as Record<keyof typeof declarations, NativeFunction>;
  }

  /** `2026.4.1-22982-e213a147257-releases/2026/4` */
  version(): string {
    const version = {} as { buildNumber: string };
    this.call('getVersion', version);
    return version.buildNumber;
  }

  createCore(): Core {
    return new Core(this, this.made('createCore'));
  }

  /** Throws what OpenVINO says when the function does not succeed. */
  call(name: keyof typeof declarations, ...args: unknown[]): void {
    const status = this.status(name, ...args);
    if (status !== 0) throw this.error(status);
  }

  status(name: keyof typeof declarations, ...args: unknown[]): number {
    return this.#functions[name](...args) as number;
  }

  /** A call whose last argument is what it makes; `more` follow that one. */
  made(
    name: keyof typeof declarations,
    args: readonly unknown[] = [],
    more: readonly unknown[] = [],
  ): Pointer {
    const out: Out<Pointer> = [null];
    this.call(name, ...args, out, ...more);
    if (out[0] === null) throw new Error(`OpenVINO made nothing (${name})`);
    return out[0];
  }

  /** A call that gives a text, which is freed. */
  text(name: keyof typeof declarations, ...args: unknown[]): string {
    const pointer = this.made(name, args);
    const text = koffi.decode(pointer, 'char', -1) as string;
    this.#functions.freeText(pointer);
    return text;
  }

  free(name: keyof typeof declarations, pointer: Pointer): void {
    this.#functions[name](pointer);
  }

  /** What OpenVINO says of its last failure, without the places in its sources at which it passed. */
  error(status: number): Error {
    const said = (this.#functions.lastError() as string | null) ?? '';
    const lines = said.split('\n').map((line) => line.replace(PLACE, '').trim());
    return new Error(lines.filter((line) => line !== '').join(' ') || `OpenVINO's status ${status}`);
  }
}

/** `Exception from src/inference/src/cpp/core.cpp:109:`, `Check 'x' failed at src/…/a.cpp:12:` */
const PLACE = /^(Exception from|Check '.*' failed at) \S+:\d+:/;

const declarations = {
  getVersion: 'int ov_get_openvino_version(_Out_ ov_version_t *version)',
  lastError: 'const char *ov_get_last_err_msg()',
  freeText: 'void ov_free(void *content)',
  createCore: 'int ov_core_create(_Out_ void **core)',
  freeCore: 'void ov_core_free(void *core)',
  devices: 'int ov_core_get_available_devices(void *core, _Out_ ov_available_devices_t *devices)',
  freeDevices: 'void ov_available_devices_free(ov_available_devices_t *devices)',
  coreProperty:
    'int ov_core_get_property(void *core, const char *device, const char *key, _Out_ void **value)',
  readModel:
    'int ov_core_read_model_from_memory_buffer(void *core, const void *model, size_t length, void *weights, _Out_ void **made)',
  freeModel: 'void ov_model_free(void *model)',
  compileModel:
    'int ov_core_compile_model(void *core, void *model, const char *device, size_t properties, _Out_ void **compiled, ...)',
  freeCompiled: 'void ov_compiled_model_free(void *compiled)',
  compiledProperty: 'int ov_compiled_model_get_property(void *compiled, const char *key, _Out_ void **value)',
  inputPort: 'int ov_compiled_model_input_by_name(void *compiled, const char *name, _Out_ void **port)',
  outputPort: 'int ov_compiled_model_output_by_name(void *compiled, const char *name, _Out_ void **port)',
  freePort: 'void ov_output_const_port_free(void *port)',
  createRequest: 'int ov_compiled_model_create_infer_request(void *compiled, _Out_ void **request)',
  freeRequest: 'void ov_infer_request_free(void *request)',
  setTensor: 'int ov_infer_request_set_tensor_by_const_port(void *request, void *port, void *tensor)',
  startAsync: 'int ov_infer_request_start_async(void *request)',
  waitFor: 'int ov_infer_request_wait_for(void *request, int64_t milliseconds)',
  cancel: 'int ov_infer_request_cancel(void *request)',
  tensorOn:
    'int ov_tensor_create_from_host_ptr(int type, ov_shape_t shape, void *memory, _Out_ void **tensor)',
  freeTensor: 'void ov_tensor_free(void *tensor)',
} as const;

/** What knows devices and compiles models for them. */
export class Core {
  readonly #library: OpenVinoLibrary;
  readonly #pointer: Pointer;

  constructor(library: OpenVinoLibrary, pointer: Pointer) {
    this.#library = library;
    this.#pointer = pointer;
  }

  /** `CPU`, `GPU.0` */
  devices(): string[] {
    const found = {} as { devices: Pointer; size: bigint | number };
    this.#library.call('devices', this.#pointer, found);
    const count = Number(found.size);
    const names = count === 0 ? [] : (koffi.decode(found.devices, 'char *', count) as string[]);
    this.#library.status('freeDevices', found);
    return names;
  }

  property(device: string, key: string): string {
    return this.#library.text('coreProperty', this.#pointer, device, key);
  }

  /** model: a serialised ModelProto. The values that it refers to by address must stay where they are. */
  compile(model: Uint8Array, device: string, properties: Properties): CompiledModel {
    const library = this.#library;
    const read = library.made('readModel', [this.#pointer, model, model.byteLength, null]);
    try {
      const pairs = Object.entries(properties).flat();
      const compiled = library.made(
        'compileModel',
        [this.#pointer, read, device, pairs.length],
        pairs.flatMap((text) => ['const char *', text]),
      );
      return new CompiledModel(library, compiled);
    } finally {
      library.free('freeModel', read);
    }
  }

  free(): void {
    this.#library.free('freeCore', this.#pointer);
  }
}

export class CompiledModel {
  readonly #library: OpenVinoLibrary;
  readonly #pointer: Pointer;

  constructor(library: OpenVinoLibrary, pointer: Pointer) {
    this.#library = library;
    this.#pointer = pointer;
  }

  property(key: string): string {
    return this.#library.text('compiledProperty', this.#pointer, key);
  }

  /** Where a run is given an input. */
  input(name: string): Port {
    return new Port(this.#library, this.#library.made('inputPort', [this.#pointer, name]));
  }

  /** Where a run leaves an output. */
  output(name: string): Port {
    return new Port(this.#library, this.#library.made('outputPort', [this.#pointer, name]));
  }

  createRequest(): InferRequest {
    return new InferRequest(this.#library, this.#library.made('createRequest', [this.#pointer]));
  }

  free(): void {
    this.#library.free('freeCompiled', this.#pointer);
  }
}

/** An input or an output of a compiled model. */
export class Port {
  readonly pointer: Pointer;
  readonly #library: OpenVinoLibrary;

  constructor(library: OpenVinoLibrary, pointer: Pointer) {
    this.#library = library;
    this.pointer = pointer;
  }

  free(): void {
    this.#library.free('freePort', this.pointer);
  }
}

/** One run at a time of a compiled model. */
export class InferRequest {
  readonly #library: OpenVinoLibrary;
  readonly #pointer: Pointer;

  constructor(library: OpenVinoLibrary, pointer: Pointer) {
    this.#library = library;
    this.#pointer = pointer;
  }

  /** The memory from which the request reads an input, or to which it writes an output, when it runs. */
  set(port: Port, tensor: MemoryTensor): void {
    this.#library.call('setTensor', this.#pointer, port.pointer, tensor.pointer);
  }

  /** To be waited for. */
  start(): void {
    this.#library.call('startAsync', this.#pointer);
  }

  /** Whether it has ended; blocks for at most so many milliseconds. Throws its error, also when it was cancelled. */
  endedWithin(milliseconds: number): boolean {
    const status = this.#library.status('waitFor', this.#pointer, milliseconds);
    if (status !== 0 && status !== RESULT_NOT_READY) throw this.#library.error(status);
    return status === 0;
  }

  cancel(): void {
    this.#library.call('cancel', this.#pointer);
  }

  free(): void {
    this.#library.free('freeRequest', this.#pointer);
  }
}

/** A tensor over memory of JavaScript's, shared or not, which it keeps alive until `free`. */
export class MemoryTensor {
  readonly pointer: Pointer;
  readonly memory: ArrayBufferView<ArrayBufferLike>;
  readonly #library: OpenVinoLibrary;

  constructor(
    library: OpenVinoLibrary,
    dtype: DType,
    shape: Shape,
    memory: ArrayBufferView<ArrayBufferLike>,
  ) {
    this.#library = library;
    this.memory = memory;
    const dims = BigInt64Array.from(shape, BigInt);
    this.pointer = library.made('tensorOn', [
      elementTypes[dtype],
      { rank: shape.length, dims },
      addressOf(koffi, memory),
    ]);
  }

  free(): void {
    this.#library.free('freeTensor', this.pointer);
  }
}
