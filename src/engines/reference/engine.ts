/**
 * The reference engine: every operator in plain TypeScript, written to be read. It is the specification against
 * which the other engines are tested, and, in double precision, the one against which gradients are.
 */
import { InputError, UsageError } from '../../errors.ts';
import { viewAs } from '../../graph/dtype.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import type { Program } from '../../graph/program.ts';
import { formatShape, sameShape } from '../../graph/shape.ts';
import type { OperationNode, Tensor } from '../../graph/tensor.ts';
import { checkWeight } from '../../weights/check-weight.ts';
import { storedBytes } from '../../weights/load-tensors.ts';
import { readableType, type Weight } from '../../weights/weights.ts';
import { checkInputs, checkKept } from '../check-inputs.ts';
import {
  type CompileOptions,
  type DeviceTensor,
  type Executable,
  isHostTensor,
  type KeepingEngine,
  type KeepingExecutable,
} from '../engine.ts';
import { Attributes, type Kernel } from './kernel.ts';
import { convolution } from './kernels/convolution.ts';
import { elementwise } from './kernels/elementwise.ts';
import { lookup } from './kernels/lookup.ts';
import { matrix } from './kernels/matrix.ts';
import { movement } from './kernels/movement.ts';
import { normalization } from './kernels/normalization.ts';
import { quantization } from './kernels/quantization.ts';
import { reduction } from './kernels/reduction.ts';
import { fromHost, isFloat, rounded, toHost, type Value } from './value.ts';

/** By ONNX operator; the domain `com.microsoft` reuses no name of the standard. */
const kernels: Readonly<Record<string, Kernel>> = {
  ...elementwise,
  ...movement,
  ...lookup,
  ...reduction,
  ...matrix,
  ...normalization,
  ...convolution,
  ...quantization,
};

/** In which precision the reference engine computes. */
export interface ReferenceEngineOptions {
  /**
   * `declared` rounds every operator's results to their type, as an engine that computes each exactly would.
   * `double` keeps all floating-point values in double precision, takes float64 wherever a floating-point input is
   * declared, and gives float64 outputs.
   */
  readonly precision?: 'declared' | 'double';
}

/** An engine that needs nothing but JavaScript, and is slow: for tests, and to see what a program means. */
export function createReferenceEngine({
  precision = 'declared',
}: ReferenceEngineOptions = {}): KeepingEngine {
  return {
    name: precision === 'double' ? 'reference/double' : 'reference',
    compile: async (program, options) => compile(program, options ?? {}, precision === 'double'),
    compileKeeping: async (program, keep, options) =>
      keeping(await compile(program, options ?? {}, precision === 'double'), program, keep, options?.name),
    dispose: async () => {},
  };
}

async function compile(
  program: Program,
  { weights, name = 'program', signal }: CompileOptions,
  double: boolean,
): Promise<Executable> {
  signal?.throwIfAborted();
  for (const node of program.operations) {
    if (!(node.type in kernels))
      throw new InputError(`${name}: the reference engine has no operator ${node.type}`, {
        code: 'unsupported',
      });
  }
  const expected = new Map(program.inputs);
  const bound = new Map<Tensor, Value>();
  const keep = (value: Value): Value => (double ? value : rounded(value));
  for (const [parameter, tensor] of program.parameters) {
    const weight = weights?.get(parameter);
    if (!weight) {
      expected.set(parameter, tensor);
      continue;
    }
    checkWeight(parameter, tensor, weight);
    bound.set(tensor, keep({ ...fromHost(await stored(parameter, weight)), dtype: tensor.dtype }));
  }
  for (const tensor of program.constants) {
    if (tensor.node.kind === 'constant') bound.set(tensor, fromHost(tensor.node.value));
  }

  let disposed = false;
  return {
    async run(inputs, { signal } = {}) {
      signal?.throwIfAborted();
      if (disposed) throw new Error(`${name} was disposed of and cannot be run`);
      const declared = double ? withDoubles(expected, inputs) : inputs;
      checkInputs(name, expected, declared);
      const values = new Map(bound);
      for (const [input, tensor] of expected) {
        values.set(tensor, { ...fromHost(inputs[input]!), dtype: tensor.dtype });
      }
      await Promise.resolve(); // the caller goes on first, as with every other engine
      for (const node of program.operations) interpret(name, node, values, keep);
      signal?.throwIfAborted();
      const outputs: Record<string, HostTensor> = {};
      for (const [output, tensor] of program.outputs) {
        const value = values.get(tensor)!;
        outputs[output] = toHost(double && isFloat(value.dtype) ? { ...value, dtype: 'float64' } : value);
      }
      return outputs;
    },
    async dispose() {
      disposed = true;
    },
  };
}

/** Memory that JavaScript manages is device enough: what is kept is a host tensor behind a handle. */
class ReferenceTensor implements DeviceTensor {
  #value: HostTensor | undefined;
  readonly dtype: HostTensor['dtype'];
  readonly shape: HostTensor['shape'];

  constructor(value: HostTensor) {
    this.#value = value;
    this.dtype = value.dtype;
    this.shape = value.shape;
  }

  get value(): HostTensor {
    if (!this.#value) throw new Error('a value that was kept was disposed of');
    return this.#value;
  }

  async read(): Promise<HostTensor> {
    return { ...this.value, data: this.value.data.slice() };
  }

  async dispose(): Promise<void> {
    this.#value = undefined;
  }
}

function keeping(
  executable: Executable,
  program: Program,
  keep: readonly string[],
  name = 'program',
): KeepingExecutable {
  checkKept(name, program.outputs.keys(), keep);
  return {
    async run(inputs, options) {
      const given = Object.entries(inputs).map(([input, value]) => {
        if (isHostTensor(value)) return [input, value] as const;
        if (value instanceof ReferenceTensor) return [input, value.value] as const;
        throw new UsageError(`${name}: the input "${input}" is kept by another engine`);
      });
      const results = await executable.run(Object.fromEntries(given), options);
      const outputs = Object.entries(results).filter(([output]) => !keep.includes(output));
      const kept = keep.map((output) => [output, new ReferenceTensor(results[output]!)] as const);
      return { outputs: Object.fromEntries(outputs), kept: Object.fromEntries(kept) };
    },
    dispose: () => executable.dispose(),
  };
}

function interpret(
  name: string,
  node: OperationNode,
  values: Map<Tensor, Value>,
  keep: (value: Value) => Value,
): void {
  const inputs = node.inputs.map((tensor) => tensor && values.get(tensor)!);
  let results: readonly Value[];
  try {
    const result = kernels[node.type]!(inputs, new Attributes(node.attributes));
    results = Array.isArray(result) ? result : [result as Value];
  } catch (error) {
    throw new InputError(`${name}: ${node.type}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
  node.outputs.forEach((tensor, i) => {
    const result = results[i]!;
    // The kernels know nothing of the graph's inference: this holds it to account.
    if (result.dtype !== tensor.dtype || !sameShape(result.shape, tensor.shape)) {
      throw new Error(
        `${name}: ${node.type} gives ${result.dtype} ${formatShape(result.shape)}, ` +
          `but the graph says ${tensor.dtype} ${formatShape(tensor.shape)}`,
      );
    }
    values.set(tensor, keep(result));
  });
}

async function stored(name: string, weight: Weight): Promise<HostTensor> {
  const dtype = readableType(name, weight);
  return hostTensor(viewAs(dtype, await storedBytes(weight.storage)), weight.shape, dtype);
}

/** For the check of names and shapes: a float64 tensor passes for whatever floating-point type is declared. */
function withDoubles(
  expected: ReadonlyMap<string, Tensor>,
  inputs: Readonly<Record<string, HostTensor>>,
): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => {
      const declared = expected.get(name)?.dtype ?? value.dtype;
      return [name, value.dtype === 'float64' && isFloat(declared) ? { ...value, dtype: declared } : value];
    }),
  );
}
