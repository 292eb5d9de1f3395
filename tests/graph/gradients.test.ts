/** Every operator's derivative against central differences, in double precision. */
import { describe, expect, test } from 'vitest';
import type { Executable } from '../../src/engines/engine.ts';
import { createReferenceEngine } from '../../src/engines/reference/engine.ts';
import { grad } from '../../src/graph/gradient.ts';
import { type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import * as operators from '../../src/graph/operators/index.ts';
import { program } from '../../src/graph/program.ts';
import { constant, input, type Tensor } from '../../src/graph/tensor.ts';
import { type OperatorCase, operatorCases } from '../engines/operator-cases.ts';
import { random, uniform } from '../engines/random-tensors.ts';

/** The error of a central difference is of the order of h², and of 1e-16 / h. */
const STEP = 1e-5;
const TOLERANCE = 1e-6;

/** Up to this many elements are moved one by one; of more, a few, and some directions that move all at once. */
const ONE_BY_ONE = 48;

const engine = createReferenceEngine({ precision: 'double' });

test('every operator has a case', () => {
  const names = Object.entries(operators).filter(([, value]) => typeof value === 'function');
  expect(Object.keys(operatorCases).sort()).toEqual(names.map(([name]) => name).sort());
});

for (const [operator, cases] of Object.entries(operatorCases)) {
  describe(`the gradient of ${operator}`, () => {
    for (const single of cases) {
      if (single.differentiable === false)
        test(`${single.title}: does not exist`, () => expectNoGradient(single));
      else test(single.title, () => expectGradient(single));
    }
  });
}

test('adds up over several uses of a tensor, and stops where it is told to', async () => {
  const x = input('x', [3]);
  const y = operators.multiply(
    operators.stopGradient(operators.square(x)),
    operators.add(x, operators.sin(x)),
  );
  const [gradient] = grad(operators.reduceSum(y), [x]);
  const at = [0.3, -1.1, 0.8];
  const executable = await engine.compile(program({ gradient: gradient! }));
  const result = await executable.run({ x: hostTensor(Float64Array.from(at), [3]) });
  const expected = at.map((a) => a * a * (1 + Math.cos(a)));
  for (const [i, value] of expected.entries()) expect(result.gradient!.data[i]).toBeCloseTo(value, 6);
});

test('is zero for a tensor that the loss does not depend on', async () => {
  const [x, y] = [input('x', [2]), input('y', [2, 3])];
  const [gradient] = grad(operators.reduceSum(x), [y]);
  const result = await (await engine.compile(program({ gradient: gradient! }))).run({});
  expect([...result.gradient!.data]).toEqual([0, 0, 0, 0, 0, 0]);
});

test('refuses a loss that is not a scalar', () => {
  const x = input('x', [2]);
  expect(() => grad(x, [x])).toThrow('the loss must be a scalar');
});

/** The sum of all outputs with random factors, so that no two elements' gradients are equal by symmetry. */
function lossOf({ inputs, build }: OperatorCase): {
  readonly loss: Tensor;
  readonly leaves: Map<string, Tensor>;
} {
  const leaves = new Map(
    Object.entries(inputs).map(([name, { shape, dtype }]) => [name, input(name, shape, dtype)]),
  );
  const built = build(...leaves.values());
  const outputs = (Array.isArray(built) ? built : [built]) as readonly Tensor[];
  const terms = outputs.map((y) => {
    const floats = y.dtype === 'float32' ? y : operators.cast(y, 'float32');
    return operators.reduceSum(operators.multiply(floats, constant(random(y.shape))));
  });
  return { loss: terms.reduce((sum, term) => operators.add(sum, term)), leaves };
}

async function expectGradient(single: OperatorCase): Promise<void> {
  const { loss, leaves } = lossOf(single);
  const wanted = [...leaves].filter(([, { dtype }]) => dtype === 'float32');
  const gradients = grad(
    loss,
    wanted.map(([, leaf]) => leaf),
  );
  const named = Object.fromEntries(wanted.map(([name], i) => [name, gradients[i]!]));
  const forward = await engine.compile(program({ loss }));
  const values = doubles(single.inputs);
  // An input that the gradient does not read is no input of the gradient's program.
  const backward = program(named);
  const given = Object.fromEntries([...backward.inputs.keys()].map((name) => [name, values[name]!]));
  const results = await (await engine.compile(backward)).run(given);

  for (const [name] of wanted) {
    const gradient = results[name]!.data as Float64Array;
    for (const direction of directions(gradient.length)) {
      const found = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0);
      const difference = await centralDifference(forward, values, name, direction);
      const scale = gradient.reduce((sum, g, i) => sum + Math.abs(g * direction[i]!), 1);
      expect(Math.abs(found - difference) / scale, `∂/∂${name}: ${found} but ${difference}`).toBeLessThan(
        TOLERANCE,
      );
    }
  }
}

function expectNoGradient(single: OperatorCase): void {
  const { loss, leaves } = lossOf(single);
  const gradients = () => grad(loss, [...leaves.values()]);
  // Either the operator says so, or zeros come out: constants that depend on nothing.
  let zeros: Tensor[];
  try {
    zeros = gradients();
  } catch (error) {
    expect((error as Error).message).toMatch(/has no derivative/);
    return;
  }
  expect(program(Object.fromEntries(zeros.map((zero, i) => [`${i}`, zero]))).inputs.size).toBe(0);
}

async function centralDifference(
  forward: Executable,
  values: Readonly<Record<string, HostTensor>>,
  name: string,
  direction: Float64Array,
): Promise<number> {
  const value = values[name]!;
  const lossAt = async (step: number) => {
    const moved = direction.map((d, i) => (value.data[i] as number) + step * d);
    const { loss } = await forward.run({ ...values, [name]: hostTensor(moved, value.shape) });
    return loss!.data[0] as number;
  };
  return ((await lossAt(STEP)) - (await lossAt(-STEP))) / (2 * STEP);
}

function directions(length: number): Float64Array[] {
  const unit = (at: number) => new Float64Array(length).fill(1, at, at + 1);
  if (length <= ONE_BY_ONE) return Array.from({ length }, (_, i) => unit(i));
  const some = Array.from({ length: 4 }, () => unit(Math.floor(uniform() * length)));
  const all = Array.from({ length: 3 }, () => new Float64Array(length).map(() => 2 * uniform() - 1));
  return [...some, ...all];
}

function doubles(inputs: Readonly<Record<string, HostTensor>>): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => [
      name,
      value.dtype === 'float32'
        ? hostTensor(Float64Array.from(value.data as Float32Array), value.shape)
        : value,
    ]),
  );
}
