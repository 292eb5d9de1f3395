/**
 * Symbolic tensors: the edges of a graph that is being written.
 *
 * There is no graph object while a model is written. A tensor knows the node that makes it, a node knows its
 * inputs, and `program()` collects what the wanted outputs need; whatever nobody asked for is never there.
 */
import type { DType } from './dtype.ts';
import { type HostTensor, hostTensor } from './host-tensor.ts';
import { elementCount, type Shape } from './shape.ts';

/** A value in a graph that is written: its shape and type are known, its elements not yet. */
export interface Tensor {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly node: Node;
  /** Which of the node's outputs this is. */
  readonly index: number;
}

/** Where a tensor comes from. */
export type Node = InputNode | ParameterNode | ConstantNode | OperationNode;

/** A value given at every run. */
export interface InputNode {
  readonly kind: 'input';
  readonly name: string;
}

/** A weight: bound to stored values when the program is compiled, or given at every run while it is trained. */
export interface ParameterNode {
  readonly kind: 'parameter';
  readonly name: string;
}

/** A value that is part of the graph. */
export interface ConstantNode {
  readonly kind: 'constant';
  readonly value: HostTensor;
  /** What stands in every place, where that is known: equal constants need be stored only once. */
  readonly fill?: number;
}

/** An ONNX operator. */
export interface OperationNode {
  readonly kind: 'operation';
  /** The operator's name in the ONNX standard (or in `domain`). */
  readonly type: string;
  /** Empty for the standard operators, `com.microsoft` for ONNX Runtime's. */
  readonly domain: string;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly outputs: readonly Tensor[];
  readonly gradient: GradientRule | undefined;
  /**
   * What the rule's results are the gradients of: the inputs, unless this is the last of several operators that have one
   * rule together.
   */
  readonly differentiated: readonly (Tensor | undefined)[];
}

/** The value of an attribute, tagged by its kind, because ONNX keeps integers and floats apart. */
export type Attribute =
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly string: string };

/**
 * From the gradients of a node's outputs (undefined where none flows) to those of what it is differentiated by, in order
 * (undefined where there is none). Writes further operators; what nobody uses never reaches a program.
 */
export type GradientRule = (
  outputGradients: readonly (Tensor | undefined)[],
) => readonly (Tensor | undefined)[];

/** A leaf whose value is given at every run. */
export function input(name: string, shape: Shape, dtype: DType = 'float32'): Tensor {
  return leaf({ kind: 'input', name }, shape, dtype);
}

/** A leaf for a weight: bound when the program is compiled, or given at every run while it is trained. */
export function parameter(name: string, shape: Shape, dtype: DType = 'float32'): Tensor {
  return leaf({ kind: 'parameter', name }, shape, dtype);
}

/** A leaf with a value of its own. */
export function constant(value: HostTensor): Tensor {
  return leaf({ kind: 'constant', value }, value.shape, value.dtype);
}

/** A float32 constant of rank 0. */
export function scalar(value: number): Tensor {
  return constant(hostTensor(Float32Array.of(value), []));
}

/** A float32 constant with `value` in every place. */
export function filled(shape: Shape, value: number): Tensor {
  let made: HostTensor | undefined;
  const node: ConstantNode = {
    kind: 'constant',
    fill: value,
    // When somebody looks at it: programs are also written to be counted, in sizes that no memory holds.
    get value() {
      made ??= hostTensor(new Float32Array(elementCount(shape)).fill(value), shape);
      return made;
    },
  };
  return leaf(node, shape, 'float32');
}

/** An int64 constant of rank 1, the form in which ONNX takes shapes, axes and ranges. */
export function int64s(values: readonly number[]): Tensor {
  return constant(hostTensor(BigInt64Array.from(values, BigInt), [values.length]));
}

/** What an operator has beside its inputs: its domain (ONNX's own if not given), attributes, and its gradient. */
export interface OperationOptions {
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly gradient?: GradientRule;
  /** Default: the inputs. */
  readonly differentiated?: readonly (Tensor | undefined)[];
}

/** The gradient rule of an operator with one output. */
export function rule(gradient: (g: Tensor) => readonly (Tensor | undefined)[]): GradientRule {
  return ([g]) => (g ? gradient(g) : []);
}

/** Writes an operator with one output. */
export function operation(
  type: string,
  inputs: readonly (Tensor | undefined)[],
  shape: Shape,
  dtype: DType,
  options: OperationOptions = {},
): Tensor {
  return operationWithOutputs(type, inputs, [{ shape, dtype }], options)[0]!;
}

/** Writes an operator with several outputs. */
export function operationWithOutputs(
  type: string,
  inputs: readonly (Tensor | undefined)[],
  outputs: readonly { readonly shape: Shape; readonly dtype: DType }[],
  options: OperationOptions = {},
): Tensor[] {
  const tensors: Tensor[] = [];
  const node: OperationNode = {
    kind: 'operation',
    type,
    domain: options.domain ?? '',
    inputs,
    attributes: options.attributes ?? {},
    outputs: tensors,
    gradient: options.gradient,
    differentiated: options.differentiated ?? inputs,
  };
  tensors.push(...outputs.map(({ shape, dtype }, index) => ({ shape, dtype, node, index })));
  return tensors;
}

/**
 * The value of `y`, an operator's only output, with a rule of its own for the gradients of `inputs`, of which it was made
 * by operators whose own rules would write more than is needed.
 */
export function withGradient(
  y: Tensor,
  inputs: readonly (Tensor | undefined)[],
  gradient: GradientRule,
): Tensor {
  const { node } = y;
  if (node.kind !== 'operation') throw new Error('only the result of an operator has a gradient rule');
  return operation(node.type, node.inputs, y.shape, y.dtype, { ...node, gradient, differentiated: inputs });
}

function leaf(node: Node, shape: Shape, dtype: DType): Tensor {
  return { shape, dtype, node, index: 0 };
}
