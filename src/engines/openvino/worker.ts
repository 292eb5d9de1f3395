/**
 * The thread in which OpenVINO is called: compiling, and waiting for a run, block the thread that asks for it. Inputs are
 * read where they lie, those in memory that threads share too.
 */
import { allocate } from '../../graph/dtype.ts';
import { elementCount } from '../../graph/shape.ts';
import type { KeptInput, RunRequest, WireTensor } from '../thread/messages.ts';
import { serve } from '../thread/serve.ts';
import { precisionNames, precisionsIn } from './devices.ts';
import {
  type CompiledModel,
  type Core,
  type InferRequest,
  MemoryTensor,
  OpenVinoLibrary,
  type Port,
  type Properties,
} from './library.ts';
import type { CompileRequest, Description, Request, Result } from './messages.ts';
import { enterRoot } from './root-folder.ts';

/** How often a run that is under way looks whether somebody still waits for it, in milliseconds. */
const PATIENCE = 5;

interface Session {
  readonly compiled: CompiledModel;
  readonly request: InferRequest;
  readonly inputs: ReadonlyMap<string, Port>;
  readonly outputs: readonly (CompileRequest['outputs'][number] & { readonly port: Port })[];
}

/** Values that stay here between runs. */
interface Kept {
  readonly tensor: MemoryTensor;
  readonly value: WireTensor;
}

let loaded: { readonly library: OpenVinoLibrary; readonly core: Core } | undefined;
const sessions = new Map<number, Session>();
const kept = new Map<number, Kept>();

serve(handle);

async function handle(request: Request, isUnwanted: () => boolean): Promise<Result> {
  switch (request.kind) {
    case 'compile':
      sessions.set(request.session, compile(request));
      return { kind: 'done' };
    case 'enterRoot':
      return { kind: 'entered', readsFiles: enterRoot() };
    case 'describe':
      return describe(request.library);
    case 'run':
      return run(sessionOf(request.session), request, isUnwanted);
    case 'read':
      return { kind: 'read', value: keptValue(request.kept).value };
    case 'drop':
      drop(request.kept);
      return { kind: 'done' };
    case 'release':
      release(request.session);
      return { kind: 'done' };
    case 'close':
      for (const id of [...kept.keys()]) drop(id);
      for (const id of [...sessions.keys()]) release(id);
      loaded?.core.free();
      loaded = undefined;
      return { kind: 'done' };
  }
}

function openVino(path: string) {
  if (loaded) return loaded;
  const library = new OpenVinoLibrary(path);
  loaded = { library, core: library.createCore() };
  return loaded;
}

function describe(path: string): Description {
  const { library, core } = openVino(path);
  const devices = core.devices().map((name) => ({
    name,
    fullName: core.property(name, 'FULL_DEVICE_NAME'),
    precisions: precisionsIn(core.property(name, 'OPTIMIZATION_CAPABILITIES')),
  }));
  return { kind: 'described', version: library.version(), devices };
}

/**
 * OpenVINO 2026.4 generates code for chains of operators ("snippets"), but loses their order in some training steps and
 * then refuses the whole program. Those are compiled without such code, which leaves what they compute as it is.
 */
function compileFused(core: Core, model: Uint8Array, device: string, properties: Properties): CompiledModel {
  try {
    return core.compile(model, device, properties);
  } catch (error) {
    if (!device.startsWith('CPU') || !/snippets/i.test(String(error))) throw error;
    return core.compile(model, device, { ...properties, SNIPPETS_MODE: 'DISABLE' });
  }
}

function compile({
  library,
  model,
  device,
  precision,
  properties,
  inputs,
  outputs,
}: CompileRequest): Session {
  const { core } = openVino(library);
  requireDevice(core, device, precision);
  const hint = precisionNames[precision].hint;
  const compiled = compileFused(core, model, device, { ...properties, INFERENCE_PRECISION_HINT: hint });
  try {
    const taken = compiled.property('INFERENCE_PRECISION_HINT');
    if (taken !== hint) throw new Error(`${device} computes in ${taken} although ${precision} was asked for`);
    return {
      compiled,
      request: compiled.createRequest(),
      inputs: new Map(inputs.map((name) => [name, compiled.input(name)])),
      outputs: outputs.map((output) => ({ ...output, port: compiled.output(output.name) })),
    };
  } catch (error) {
    compiled.free();
    throw error;
  }
}

/** Throws for a device that is not there, and for a precision that it would replace by another. */
function requireDevice(core: Core, device: string, precision: CompileRequest['precision']): void {
  const devices = core.devices();
  // GPU stands for GPU.0 where there are several.
  if (!devices.some((name) => name === device || name.startsWith(`${device}.`))) {
    throw new Error(`OpenVINO finds no ${device} here; it finds ${devices.join(', ') || 'no device'}`);
  }
  const known = precisionsIn(core.property(device, 'OPTIMIZATION_CAPABILITIES'));
  if (!known.includes(precision)) {
    throw new Error(`this ${device} does not compute in ${precision}; it does in ${known.join(', ')}`);
  }
}

function sessionOf(id: number): Session {
  const session = sessions.get(id);
  if (!session) throw new Error('the executable was disposed of');
  return session;
}

function run(
  { request, inputs: ports, outputs: specs }: Session,
  { inputs, keep }: RunRequest,
  isUnwanted: () => boolean,
): Result {
  const { library } = loaded!;
  /** Whose memory belongs to this run alone. */
  const passing: MemoryTensor[] = [];
  const results: Kept[] = [];
  try {
    for (const value of inputs) {
      const port = ports.get(value.name)!;
      if ('kept' in value) {
        request.set(port, keptValue(value.kept, value).tensor);
        continue;
      }
      const tensor = new MemoryTensor(library, value.dtype, value.shape, value.data);
      passing.push(tensor);
      request.set(port, tensor);
    }
    for (const { port, name, dtype, shape } of specs) {
      const value = { name, dtype, shape, data: allocate(dtype, elementCount(shape)) };
      const tensor = new MemoryTensor(library, dtype, shape, value.data);
      results.push({ tensor, value });
      request.set(port, tensor);
    }
    request.start();
    while (!request.endedWithin(PATIENCE)) if (isUnwanted()) request.cancel();
  } catch (error) {
    for (const { tensor } of results) tensor.free();
    throw error;
  } finally {
    for (const tensor of passing) tensor.free();
  }
  const staying = new Map(keep.map(({ name, kept: id }) => [name, id]));
  for (const result of results) {
    const id = staying.get(result.value.name);
    if (id === undefined) result.tensor.free();
    else kept.set(id, result);
  }
  return {
    kind: 'ran',
    outputs: results.map(({ value }) => value).filter(({ name }) => !staying.has(name)),
    kept: results
      .map(({ value: { name, dtype, shape } }) => ({ name, dtype, shape, kept: staying.get(name) }))
      .filter((value): value is typeof value & { kept: number } => value.kept !== undefined),
    inputs: inputs.filter((value) => 'data' in value),
  };
}

function keptValue(id: number, input?: KeptInput): Kept {
  const value = kept.get(id);
  if (value) return value;
  throw new Error(`the value kept${input ? ` for the input ${input.name}` : ''} was disposed of`);
}

function drop(id: number): void {
  kept.get(id)?.tensor.free();
  kept.delete(id);
}

function release(id: number): void {
  const { request, compiled, inputs, outputs } = sessionOf(id);
  sessions.delete(id);
  request.free();
  for (const port of [...inputs.values(), ...outputs.map(({ port }) => port)]) port.free();
  compiled.free();
}
