/** The thread in which ONNX Runtime lives: its `run` blocks the thread that calls it, so it gets one of its own. */
import { open } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import type { DType, TypedArray } from '../../graph/dtype.ts';
import type { CommonResult, KeptInput, RunRequest, WireTensor } from '../thread/messages.ts';
import { serve } from '../thread/serve.ts';
import { SharedInputs } from '../thread/shared-inputs.ts';
import { missingForCuda, onnxRuntimeInstallation } from './installation.ts';
import type { CompileRequest, ExternalValue, Request } from './messages.ts';

const installation = onnxRuntimeInstallation();
const onnxRuntime = createRequire(import.meta.url)(installation.folder) as typeof import('onnxruntime-node');
const sessions = new Map<number, InferenceSession>();
/** Values that stay here between runs, each in the memory of the session that computed it. */
const kept = new Map<number, { readonly tensor: Tensor; readonly session: number }>();
const sharedInputs = new SharedInputs();
/** Sessions that are done with but for what they keep. */
const leaving = new Set<number>();

serve(handle);

async function handle(request: Request): Promise<CommonResult> {
  switch (request.kind) {
    case 'compile': {
      const session = await createSession(request);
      if (request.saveAs) await release(session);
      else sessions.set(request.session, session);
      return { kind: 'done' };
    }
    case 'run':
      return run(sessionOf(request.session), request);
    case 'drop':
      await drop(request.kept);
      return { kind: 'done' };
    case 'release':
      leaving.add(request.session);
      await releaseIfFree(request.session);
      return { kind: 'done' };
    case 'close':
      for (const id of [...kept.keys()]) await drop(id);
      for (const session of sessions.values()) await release(session);
      sessions.clear();
      return { kind: 'done' };
  }
}

function sessionOf(id: number): InferenceSession {
  const session = sessions.get(id);
  if (!session) throw new Error('the executable was disposed of');
  return session;
}

async function createSession({
  model,
  external,
  folder,
  settings,
  keep,
  saveAs,
}: CompileRequest): Promise<InferenceSession> {
  requireProvider(settings.executionProviders[0]!);
  const externalData = await Promise.all(
    external.map(async (value) => ({
      path: value.location,
      data: 'bytes' in value ? value.bytes : await readRange(value),
    })),
  );
  const options: InferenceSession.SessionOptions = {
    executionProviders: settings.executionProviders,
    // The binding takes a key that is undefined for a wrong value.
    ...(settings.threads === undefined ? {} : { intraOpNumThreads: settings.threads }),
    ...(settings.profilePrefix === undefined
      ? {}
      : { enableProfiling: true, profileFilePrefix: settings.profilePrefix }),
    logSeverityLevel: 4, // errors are thrown, and warnings tell of every operator that a GPU leaves to the CPU
    graphOptimizationLevel: settings.optimization,
    enableMemPattern: settings.memoryPattern,
    enableCpuMemArena: settings.arena,
    ...(saveAs && { optimizedModelFilePath: saveAs.path }),
    externalData,
    // On the processor a value that is kept is a tensor like any other; elsewhere it must not come here first.
    ...(keep.length > 0 &&
      settings.executionProviders[0] === 'webgpu' && {
        preferredOutputLocation: Object.fromEntries(keep.map((name) => [name, 'gpu-buffer'] as const)),
      }),
    extra: {
      session: {
        intra_op: { allow_spinning: settings.allowSpinning ? '1' : '0' },
        // Between runs nothing spins: other engines and processes have the cores.
        force_spinning_stop: '1',
        ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
        ...(saveAs && {
          optimized_model_external_initializers_file_name: saveAs.weights,
          save_external_prepacked_constant_initializers: '1',
        }),
      },
    },
  };
  // The binding tells a path from bytes by its type.
  return typeof model === 'string'
    ? onnxRuntime.InferenceSession.create(model, options)
    : onnxRuntime.InferenceSession.create(model, options);
}

/**
 * Throws for a device that this build does not know, where the binding would take the CPU in its place; and for CUDA
 * without its libraries, before ONNX Runtime tells of that in its own words.
 */
function requireProvider(name: string): void {
  const known = onnxRuntime.listSupportedBackends().map((backend) => backend.name);
  if (!known.includes(name)) {
    throw new Error(
      `ONNX Runtime for ${process.platform} on ${process.arch} has no ${name}; it has ${known.join(', ')}`,
    );
  }
  const missing = name === 'cuda' ? missingForCuda(installation) : undefined;
  if (missing !== undefined) throw new Error(missing);
}

async function readRange({
  path,
  offset,
  length,
}: Extract<ExternalValue, { path: string }>): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await file.read(bytes, done, Math.min(length - done, 2 ** 30), offset + done);
      if (bytesRead === 0)
        throw new Error(`${path} ends ${length - done} bytes before the end of a weight: it is cut off`);
      done += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

async function run(session: InferenceSession, request: RunRequest): Promise<CommonResult> {
  const { inputs, keep } = request;
  const feeds: Record<string, Tensor> = {};
  for (const value of sharedInputs.own(request)) {
    feeds[value.name] = 'kept' in value ? keptTensor(value) : toOrt(value.dtype, value.shape, value.data);
  }
  const fetched = await session.run(feeds);
  const staying = keep.map(({ name, kept: id }) => {
    const tensor = fetched[name]!;
    kept.set(id, { tensor, session: request.session });
    return { name, kept: id, dtype: tensor.type as DType, shape: tensor.dims };
  });
  const outputs = session.outputNames
    .filter((name) => !keep.some((value) => value.name === name))
    .map((name) => fromOrt(name, fetched[name]!));
  return { kind: 'ran', outputs, kept: staying, inputs: inputs.filter((value) => 'data' in value) };
}

function keptTensor({ name, kept: id }: KeptInput): Tensor {
  const value = kept.get(id);
  if (!value) throw new Error(`the value kept for the input ${name} was disposed of`);
  return value.tensor;
}

async function drop(id: number): Promise<void> {
  const value = kept.get(id);
  if (!value) return;
  kept.delete(id);
  value.tensor.dispose();
  await releaseIfFree(value.session);
}

/** Releases a session that is done with, unless values lie in its memory: on a graphics processor they would be gone. */
async function releaseIfFree(id: number): Promise<void> {
  if (!leaving.has(id) || [...kept.values()].some(({ session }) => session === id)) return;
  leaving.delete(id);
  sharedInputs.release(id);
  await release(sessionOf(id));
  sessions.delete(id);
}

async function release(session: InferenceSession): Promise<void> {
  session.endProfiling();
  await session.release();
}

function toOrt(dtype: DType, shape: readonly number[], data: TypedArray): Tensor {
  if (dtype === 'bfloat16')
    throw new Error('onnxruntime-node passes no bfloat16 tensors; cast to float32 or float16');
  return new onnxRuntime.Tensor(dtype, data as Exclude<TypedArray, Int8Array>, shape);
}

function fromOrt(name: string, { type, dims, data }: Tensor): WireTensor {
  if (!ArrayBuffer.isView(data))
    throw new Error(`the output ${name} is of the type ${type}, which holds no numbers`);
  // Newer versions of Node have a Float16Array; on the host a float16 is its 16-bit pattern everywhere.
  const bits =
    type === 'float16'
      ? new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
      : (data as TypedArray);
  return { name, dtype: type as DType, shape: dims, data: bits };
}
