/** What the model conformance tests share: stored models, running a graph, and comparing with a reference. */
import { expect } from 'vitest';
import type { Engine } from '../../src/engines/engine.ts';
import type { HostTensor } from '../../src/graph/host-tensor.ts';
import { program } from '../../src/graph/program.ts';
import { input, type Tensor } from '../../src/graph/tensor.ts';
import { DeclaredParams } from '../../src/layers/params.ts';
import { bytesOf } from '../../src/weights/safetensors.ts';
import type { Weights } from '../../src/weights/weights.ts';
import { expectClose } from './golden.ts';

export type Tensors = Map<string, HostTensor>;

/** Stored tensors as weights that an engine can bind. */
export function asWeights(tensors: Tensors): Weights {
  return new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      { dtype: tensor.dtype, shape: tensor.shape, storage: { kind: 'bytes', bytes: bytesOf(tensor) } },
    ]),
  );
}

/** The tensor of that name; throws when the fixture has none. */
export function tensorOf(tensors: Tensors, name: string): HostTensor {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`the fixture has no tensor "${name}"`);
  return tensor;
}

export interface Run {
  readonly outputs: Record<string, HostTensor>;
  readonly declared: DeclaredParams;
}

/** Writes a graph over inputs shaped like `values` and fresh parameters, binds `weights` and runs it once. */
export async function run<Names extends string>(
  engine: Engine,
  weights: Weights,
  values: Record<Names, HostTensor>,
  write: (inputs: Record<Names, Tensor>, declared: DeclaredParams) => Record<string, Tensor>,
): Promise<Run> {
  const declared = new DeclaredParams();
  const inputs = {} as Record<Names, Tensor>;
  for (const name of Object.keys(values) as Names[]) {
    inputs[name] = input(name, values[name].shape, values[name].dtype);
  }
  const graph = program(write(inputs, declared));
  const executable = await engine.compile(graph, { weights });
  const used = Object.entries<HostTensor>(values).filter(([name]) => graph.inputs.has(name));
  const outputs = await executable.run(Object.fromEntries(used));
  await executable.dispose();
  return { outputs, declared };
}

/** Expects the model to declare the weights that the file holds, name by name and shape by shape. */
export function expectSameWeights(declared: DeclaredParams, stored: Weights): void {
  const describe = (entries: Iterable<[string, { readonly shape: readonly number[] }]>) =>
    [...entries].map(([name, { shape }]) => `${name} [${shape}]`).sort();
  expect(describe(declared.declarations)).toEqual(describe(stored));
}

/** Expects |actual − expected| ≤ tolerance · (standard deviation of expected) everywhere. */
export function expectCloseTo(actual: HostTensor | undefined, expected: HostTensor, tolerance: number): void {
  expect(actual?.shape).toEqual(expected.shape);
  const values = Array.from(expected.data, Number);
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
  expectClose(Array.from(actual!.data, Number), values, tolerance * Math.sqrt(variance));
}

/** Expects each gradient to differ from its reference by at most `tolerance` of that tensor's largest entry. */
export function expectCloseGradient(
  actual: HostTensor | undefined,
  expected: HostTensor,
  tolerance: number,
): void {
  expect(actual?.shape).toEqual(expected.shape);
  expectClose(Array.from(actual!.data, Number), Array.from(expected.data, Number), tolerance, 'relative');
}
