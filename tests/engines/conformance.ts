/**
 * What every engine must do. The checks are plain functions that throw, so that they run wherever an engine does:
 * in Node through conformance.test.ts, in a browser from a page.
 */
import type { Engine, KeepingEngine } from '../../src/engines/engine.ts';
import { createReferenceEngine } from '../../src/engines/reference/engine.ts';
import type { DType } from '../../src/graph/dtype.ts';
import { float32ToBfloat16, float32ToFloat16 } from '../../src/graph/float16.ts';
import { grad } from '../../src/graph/gradient.ts';
import { float32Data, type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import * as op from '../../src/graph/operators/index.ts';
import { program } from '../../src/graph/program.ts';
import { formatShape, type Shape, sameShape } from '../../src/graph/shape.ts';
import { constant, input, parameter, type Tensor } from '../../src/graph/tensor.ts';
import type { Weight, Weights } from '../../src/weights/weights.ts';
import { type OperatorCase, operatorCases } from './operator-cases.ts';
import { ids, random } from './random-tensors.ts';

export interface EngineUnderTest {
  readonly name: string;
  /** True, or why it cannot run here. */
  available(): Promise<true | string>;
  create(): KeepingEngine;
  /** How far a float32 result may be from the reference, relative to the largest element (and to 1). */
  readonly tolerance: number;
}

export interface Check {
  readonly name: string;
  /** Throws when the engine does not do what it must. */
  run(engine: KeepingEngine, tolerance: number): Promise<void>;
}

const reference = createReferenceEngine();

type Values = Readonly<Record<string, HostTensor>>;

export const checks: readonly Check[] = [
  ...Object.entries(operatorCases).flatMap(([operator, cases]) =>
    cases.map((single) => ({
      name: `${operator}: ${single.title}`,
      run: (engine: Engine, tolerance: number) =>
        checkOperator(engine, single, Math.max(tolerance, single.tolerance ?? 0)),
    })),
  ),
  ...(['float32', 'float16', 'bfloat16'] as const).map((dtype) => ({
    name: `binds weights stored as ${dtype}`,
    run: (engine: Engine, tolerance: number) => checkBoundWeights(engine, dtype, tolerance),
  })),
  ...(['float16', 'bfloat16'] as const).map((dtype) => ({
    name: `looks rows up in a weight stored as ${dtype}`,
    run: (engine: Engine, tolerance: number) => checkTables(engine, dtype, tolerance),
  })),
  { name: 'takes unbound parameters at every run', run: checkUnboundParameters },
  { name: 'gives inputs, constants and one value under two names as outputs', run: checkOutputs },
  { name: 'passes int64 through', run: checkIntegers },
  { name: 'keeps results apart, and leaves inputs alone', run: checkOwnership },
  { name: 'reads values in shared memory as they are when it runs', run: checkSharedMemory },
  { name: 'runs several programs at once', run: checkConcurrency },
  { name: 'names the input that is missing, surplus, or of the wrong shape or type', run: checkInputErrors },
  { name: 'refuses a weight of the wrong shape or type', run: checkWeightErrors },
  { name: 'honours an abort signal', run: checkAbort },
  { name: 'refuses to run what was disposed of', run: checkDispose },
  { name: 'keeps values where they were computed, and takes them back', run: checkKeeping },
  { name: 'refuses what it cannot keep, and what others keep', run: checkKeepingErrors },
];

/** The operator, and its derivatives as far as it has any. */
async function checkOperator(engine: Engine, single: OperatorCase, tolerance: number): Promise<void> {
  const leaves = new Map(
    Object.entries(single.inputs).map(([name, { shape, dtype }]) => [name, input(name, shape, dtype)]),
  );
  const built = single.build(...leaves.values());
  const results = (Array.isArray(built) ? built : [built]) as readonly Tensor[];
  const outputs: Record<string, Tensor> = Object.fromEntries(results.map((y, i) => [`output ${i}`, y]));
  if (single.differentiable !== false) {
    const wanted = [...leaves].filter(([, { dtype }]) => dtype === 'float32');
    const terms = results.map((y) => op.reduceSum(op.multiply(y, constant(random(y.shape)))));
    const gradients = grad(
      terms.reduce((sum, term) => op.add(sum, term)),
      wanted.map(([, leaf]) => leaf),
    );
    for (const [i, [name]] of wanted.entries()) outputs[`gradient of ${name}`] = gradients[i]!;
  }
  await compare(engine, outputs, single.inputs, tolerance);
}

/** Small weights, which are written into the model, and large ones, which lie outside it. */
async function checkBoundWeights(engine: Engine, dtype: DType, tolerance: number): Promise<void> {
  const weights = new Map([
    ['mlp.0.weight', stored(random([40, 30]), dtype)],
    ['mlp.0.bias', stored(random([40]), dtype)],
    ['conv.weight', stored(random([4, 3, 3, 3]), dtype)],
  ]);
  const hidden = op.gemm(
    input('x', [5, 30]),
    parameter('mlp.0.weight', [40, 30]),
    parameter('mlp.0.bias', [40]),
    {
      transposeB: true,
    },
  );
  const picture = op.conv2d(input('picture', [1, 3, 4, 4]), parameter('conv.weight', [4, 3, 3, 3]));
  await compare(
    engine,
    { hidden, picture },
    { x: random([5, 30]), picture: random([1, 3, 4, 4]) },
    tolerance,
    weights,
  );
}

/** A table that stays as it is stored, and is also used as a matrix, as language models do. */
async function checkTables(engine: Engine, dtype: DType, tolerance: number): Promise<void> {
  const weights = new Map([['tokens.weight', stored(random([50, 24]), dtype)]]);
  const table = op.cast(parameter('tokens.weight', [50, 24], dtype), 'float32');
  const rows = op.gather(table, input('ids', [2, 3], 'int64'));
  const scores = op.matmul(op.reshape(rows, [6, 24]), op.transpose(table, [1, 0]));
  await compare(engine, { rows, scores }, { ids: ids([2, 3], 50) }, tolerance, weights);
}

async function checkUnboundParameters(engine: Engine, tolerance: number): Promise<void> {
  const [weight, bias] = [parameter('layer.weight', [4, 3]), parameter('layer.bias', [4])];
  const y = op.gemm(input('x', [2, 3]), weight, bias, { transposeB: true });
  const weights = new Map([['layer.bias', stored(random([4]), 'float32')]]);
  const gradients = grad(op.reduceSum(op.square(y)), [weight]);
  const executable = await engine.compile(program({ y, gradient: gradients[0]! }), { weights });
  const expected = await reference.compile(program({ y, gradient: gradients[0]! }), { weights });
  for (let step = 0; step < 3; step++) {
    const given = { x: random([2, 3]), 'layer.weight': random([4, 3]) };
    expectClose(await executable.run(given), await expected.run(given), tolerance);
  }
  await executable.dispose();
}

async function checkOutputs(engine: Engine, tolerance: number): Promise<void> {
  const x = input('x', [3]);
  const y = op.exp(x);
  const large = constant(random([1000]));
  const parts = op.split(x, [1, 2], 0);
  await compare(
    engine,
    { x, same: x, y, z: y, large, head: parts[0]!, tail: parts[1]! },
    { x: random([3]) },
    tolerance,
  );
}

async function checkIntegers(engine: Engine, tolerance: number): Promise<void> {
  const at = input('ids', [2, 3], 'int64');
  const outputs = { at, rows: op.gather(constant(random([5, 2])), at), reshaped: op.reshape(at, [6]) };
  await compare(engine, outputs, { ids: ids([2, 3], 5) }, tolerance);
}

async function checkOwnership(engine: Engine): Promise<void> {
  const executable = await engine.compile(program({ y: op.multiply(input('x', [20_000]), 2) }));
  const first = hostTensor(new Float32Array(20_000).fill(1), [20_000]);
  const one = await executable.run({ x: first });
  const two = await executable.run({ x: hostTensor(new Float32Array(20_000).fill(2), [20_000]) });
  for (const [value, wanted] of [
    [first, 1],
    [one.y!, 2],
    [two.y!, 4],
  ] as const) {
    if (value.data.length !== 20_000 || value.data.some((x) => x !== wanted)) {
      throw new Error(
        `expected 20,000 times ${wanted}, got ${value.data.length} elements, the first ${value.data[0]}`,
      );
    }
  }
  await executable.dispose();
}

async function checkSharedMemory(engine: Engine): Promise<void> {
  const x = input('x', [3]);
  const executable = await engine.compile(program({ y: op.multiply(x, 2) }));
  const memory = new Float32Array(new SharedArrayBuffer(4 * 8));
  const values = hostTensor(memory.subarray(2, 5), [3]);
  for (const start of [1, 5]) {
    memory.forEach((_, i) => {
      memory[i] = start + i;
    });
    const { y } = await executable.run({ x: values });
    const wanted = [2, 3, 4].map((i) => 2 * (start + i));
    if (`${y!.data}` !== `${wanted}`) throw new Error(`expected ${wanted}, got ${y!.data}`);
  }
  await executable.dispose();
}

async function checkConcurrency(engine: Engine, tolerance: number): Promise<void> {
  const [x, y] = [input('x', [50, 50]), input('y', [50])];
  await Promise.all([
    compare(engine, { z: op.matmul(x, x) }, { x: random([50, 50]) }, tolerance),
    compare(engine, { z: op.exp(y) }, { y: random([50]) }, tolerance),
    compare(engine, { z: op.softmax(x) }, { x: random([50, 50]) }, tolerance),
  ]);
}

async function checkInputErrors(engine: Engine): Promise<void> {
  const sum = op.add(input('x', [2, 3]), parameter('layer.bias', [3]));
  const executable = await engine.compile(program({ sum }), { name: 'adder' });
  const good = { x: random([2, 3]), 'layer.bias': random([3]) };
  const bad: readonly (readonly [Values, RegExp])[] = [
    [{ x: good.x }, /adder needs the input "layer\.bias" \(float32 \[3\]\)/],
    [{ ...good, z: good.x }, /adder takes no input "z"; it takes "x", "layer\.bias"/],
    [{ ...good, x: random([3, 2]) }, /adder: the input "x" must be float32 \[2, 3\], got float32 \[3, 2\]/],
    [{ ...good, x: ids([2, 3], 5) }, /adder: the input "x" must be float32 \[2, 3\], got int64 \[2, 3\]/],
    [{ ...good, x: { ...good.x, data: new Float32Array(5) } }, /"x" has 5 elements, but \[2, 3\] has 6/],
  ];
  for (const [values, message] of bad) await expectRejection(executable.run(values), message);
  await executable.run(good);
  await executable.dispose();
}

async function checkWeightErrors(engine: Engine): Promise<void> {
  const wanted = program({ y: op.negate(parameter('w', [2, 3])) });
  const shape = new Map([['w', stored(random([3, 2]), 'float32')]]);
  await expectRejection(
    engine.compile(wanted, { weights: shape }),
    /weight w has the shape \[3, 2\], but the model expects \[2, 3\]/,
  );
  const integers = ids([2, 3], 4);
  const bytes = new Uint8Array(integers.data.buffer);
  const type = new Map<string, Weight>([
    ['w', { dtype: 'int64', shape: [2, 3], storage: { kind: 'bytes', bytes } }],
  ]);
  await expectRejection(
    engine.compile(wanted, { weights: type }),
    /weight w is stored as int64, but the model expects float32/,
  );
}

async function checkAbort(engine: Engine): Promise<void> {
  const executable = await engine.compile(program({ y: op.exp(input('x', [2])) }));
  const aborted = AbortSignal.abort(new Error('enough'));
  await expectRejection(engine.compile(program({ y: input('y', [2]) }), { signal: aborted }), /enough/);
  await expectRejection(executable.run({ x: random([2]) }, { signal: aborted }), /enough/);
  const controller = new AbortController();
  const running = executable.run({ x: random([2]) }, { signal: controller.signal });
  controller.abort(new Error('enough while running'));
  await expectRejection(running, /enough while running/);
  await executable.run({ x: random([2]) }, { signal: new AbortController().signal });
  await executable.dispose();
}

async function checkDispose(engine: Engine): Promise<void> {
  const executable = await engine.compile(program({ y: op.exp(input('x', [2])) }), { name: 'short-lived' });
  await executable.dispose();
  await executable.dispose();
  await expectRejection(executable.run({ x: random([2]) }), /short-lived was disposed of/);
}

/** A state that goes from run to run and never comes to the host: x ← x + y, with the sum of x for the host. */
async function checkKeeping(engine: KeepingEngine, tolerance: number): Promise<void> {
  const [x, y] = [input('x', [3, 4]), input('y', [3, 4])];
  const next = op.add(x, y);
  const step = program({ x: next, sum: op.reduceSum(next) });
  const executable = await engine.compileKeeping(step, ['x']);
  const [start, change] = [random([3, 4]), random([3, 4])];
  const first = await executable.run({ x: start, y: change });
  if ('x' in first.outputs) throw new Error('a value to be kept came to the host');
  const second = await executable.run({ x: first.kept.x!, y: change });
  await first.kept.x!.dispose();
  const [from, by] = [float32Data(start), float32Data(change)];
  // Two additions, each rounded.
  const expected = from.map((value, i) => Math.fround(value + by[i]!) + by[i]!);
  const x2 = hostTensor(expected, [3, 4]);
  const total = expected.reduce((sum, value) => sum + value, 0);
  expectClose({ x: await second.kept.x!.read() }, { x: x2 }, tolerance);
  const found = { sum: second.outputs.sum! };
  expectClose(found, { sum: hostTensor(Float32Array.of(total), []) }, tolerance + 1e-6);
  await expectRejection(executable.run({ x: first.kept.x!, y: change }), /was disposed of/);
  await executable.dispose();
  // What was kept outlives the program.
  expectClose({ x: await second.kept.x!.read() }, { x: x2 }, tolerance);
  await second.kept.x!.dispose();
}

async function checkKeepingErrors(engine: KeepingEngine): Promise<void> {
  const step = program({ y: op.exp(input('x', [2])) });
  await expectRejection(engine.compileKeeping(step, ['z']), /no output "z" to keep/);
  const executable = await engine.compileKeeping(step, ['y'], { name: 'a step' });
  const foreign = {
    dtype: 'float32',
    shape: [2],
    read: async () => random([2]),
    dispose: async () => {},
  } as const;
  await expectRejection(executable.run({ x: foreign }), /"x" is kept by another engine/);
  await executable.dispose();
}

async function compare(
  engine: Engine,
  outputs: Readonly<Record<string, Tensor>>,
  values: Values,
  tolerance: number,
  weights: Weights = new Map(),
): Promise<void> {
  const compiled = program(outputs);
  const given = Object.fromEntries([...compiled.inputs.keys()].map((name) => [name, values[name]!]));
  const executable = await engine.compile(compiled, { weights });
  const expected = await (await reference.compile(compiled, { weights })).run(given);
  expectClose(await executable.run(given), expected, tolerance);
  await executable.dispose();
}

function expectClose(found: Values, expected: Values, tolerance: number): void {
  const names = Object.keys(expected);
  if (Object.keys(found).join() !== names.join()) {
    throw new Error(`expected the outputs ${names}, got ${Object.keys(found)}`);
  }
  for (const name of names) {
    const [a, b] = [found[name]!, expected[name]!];
    if (a.dtype !== b.dtype || !sameShape(a.shape, b.shape) || a.data.constructor !== b.data.constructor) {
      throw new Error(
        `${name}: expected ${b.dtype} ${formatShape(b.shape)}, got ${a.dtype} ${formatShape(a.shape)}`,
      );
    }
    const wanted = Array.from(b.data, Number);
    const scale = wanted.reduce((largest, x) => Math.max(largest, Math.abs(x)), 1);
    for (const [i, y] of wanted.entries()) {
      // Written so that a NaN fails.
      if (!(Math.abs(Number(a.data[i]) - y) <= tolerance * scale)) {
        throw new Error(`${name}: element ${i} of ${formatShape(b.shape)} is ${a.data[i]}, expected ${y}`);
      }
    }
  }
}

async function expectRejection(promise: Promise<unknown>, message: RegExp): Promise<void> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error && message.test(error.message)) return;
    throw new Error(`expected an error that matches ${message}`, { cause: error });
  }
  throw new Error(`expected an error that matches ${message}, but there was none`);
}

function stored({ data, shape }: HostTensor, dtype: DType): Weight {
  if (!(data instanceof Float32Array)) throw new TypeError('weights are made from float32 values');
  const elements =
    dtype === 'float16' ? float32ToFloat16(data) : dtype === 'bfloat16' ? float32ToBfloat16(data) : data;
  // Somewhere inside a larger buffer, as the weights of a file that was read whole are.
  const around = new Uint8Array(elements.byteLength + 64);
  around.set(new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength), 32);
  const bytes = around.subarray(32, 32 + elements.byteLength);
  return { dtype, shape: shape as Shape, storage: { kind: 'bytes', bytes } };
}
