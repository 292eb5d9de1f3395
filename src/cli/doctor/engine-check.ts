/** Whether an engine works: a small network on it against the same on the reference engine. */
import { fileURLToPath } from 'node:url';
import { createEngine } from '../../engines/create-engine.ts';
import type { Engine } from '../../engines/engine.ts';
import { engineTolerance } from '../../engines/onnxruntime-node/tolerance.ts';
import { isOpenVino } from '../../engines/openvino/devices.ts';
import { openVinoTolerance } from '../../engines/openvino/tolerance.ts';
import { createReferenceEngine } from '../../engines/reference/engine.ts';
import { float32Data, hostTensor } from '../../graph/host-tensor.ts';
import { conv2d, matmul, multiply, reshape, silu, softmax, transpose } from '../../graph/operators/index.ts';
import { type Program, program } from '../../graph/program.ts';
import { elementCount } from '../../graph/shape.ts';
import { constant, input } from '../../graph/tensor.ts';
import { Generator } from '../../random/generator.ts';
import type { EngineName } from '../options/engine.ts';
import { askChild, type ChildOptions } from './child.ts';

/** What the process that runs the network says. */
export type EngineReply = { readonly error: number } | { readonly failure: string };

export interface EngineCheck {
  readonly engine: EngineName;
  readonly works: boolean;
  /** The largest deviation from the reference, relative to the largest element (and to 1); undefined if it did not run. */
  readonly error?: number;
  readonly tolerance: number;
  /** Why it does not work. */
  readonly reason?: string;
}

/** Asks a process of its own. Rejects only when `signal` ends the wait. */
export async function checkEngine(engine: EngineName, options: ChildOptions): Promise<EngineCheck> {
  const child = fileURLToPath(new URL('./engine-child.js', import.meta.url));
  const tolerance = isOpenVino(engine) ? openVinoTolerance.float32 : engineTolerance[engine];
  try {
    const reply = (await askChild(child, [engine], options)) as EngineReply;
    if ('failure' in reply) return { engine, works: false, tolerance, reason: readable(reply.failure) };
    const { error } = reply;
    // The comparison is written so that a NaN fails.
    if (error <= tolerance) return { engine, works: true, error, tolerance };
    const reason = `its results are wrong: they are off by ${error.toExponential(1)}, ${tolerance.toExponential(1)} is allowed`;
    return { engine, works: false, error, tolerance, reason };
  } catch (error) {
    options.signal?.throwIfAborted();
    return { engine, works: false, tolerance, reason: readable((error as Error).message) };
  }
}

/** In the child: compiles and runs the network. */
export async function tryEngine(device: EngineName): Promise<number> {
  const engine = createEngine({ device });
  try {
    const [found, expected] = [await outputOf(engine), await outputOf(createReferenceEngine())];
    const scale = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
    // A NaN stays one.
    return expected.reduce((worst, value, i) => Math.max(worst, Math.abs(found[i]! - value) / scale), 0);
  } finally {
    await engine.dispose();
  }
}

async function outputOf(engine: Engine): Promise<Float32Array> {
  const executable = await engine.compile(network(), { name: 'a small network' });
  const { y } = await executable.run({ x: random([1, 8, 16, 16], 1) });
  await executable.dispose();
  return float32Data(y!);
}

/** What every model here is made of: a convolution, an activation and attention. */
function network(): Program {
  const x = input('x', [1, 8, 16, 16]);
  const kernel = random([16, 8, 3, 3], 0.2);
  const tokens = reshape(silu(conv2d(x, constant(kernel), undefined, { padding: 1 })), [16, 256]);
  const scores = matmul(tokens, transpose(multiply(tokens, 1 / 256), [1, 0]));
  return program({ y: matmul(softmax(scores), tokens) });
}

function random(shape: readonly number[], deviation: number) {
  const values = new Generator(0).normal(elementCount(shape));
  return hostTensor(
    values.map((value) => deviation * value),
    shape,
  );
}

const advice: readonly (readonly [sign: RegExp, reason: string])[] = [
  [
    /Failed to get a WebGPU adapter/,
    'no GPU with a driver for WebGPU was found; on Linux that is libvulkan1 and the Vulkan driver of the GPU',
  ],
];

/** The cause in one line, without places in the source of ONNX Runtime. */
function readable(message: string): string {
  const known = advice.find(([sign]) => sign.test(message));
  if (known) return known[1];
  return message
    .replace(/^.*? does not compile on \S+: /, '')
    .split('\n')[0]!
    .replace(/^\S*onnxruntime_src\/.*? was false\. /, '');
}
