/**
 * Every operator over several shapes, strides, groups and broadcasts: what the engines are compared on, and what the
 * gradients are checked on. The key is the name under which src/graph/operators exports the operator.
 */
import type { HostTensor } from '../../src/graph/host-tensor.ts';
import * as op from '../../src/graph/operators/index.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import { awayFrom, bits, ids, positive, random } from './random-tensors.ts';

export interface OperatorCase {
  readonly title: string;
  readonly inputs: Readonly<Record<string, HostTensor>>;
  /** Writes the operator over tensors in the order of `inputs`. */
  readonly build: (...inputs: Tensor[]) => Tensor | readonly Tensor[];
  /** False for operators through which no gradient flows. */
  readonly differentiable?: boolean;
  /** How far a result may be from the reference where engines are free to round or not; their own if it is larger. */
  readonly tolerance?: number;
}

const two = (
  build: (a: Tensor, b: Tensor) => Tensor,
  b: (shape: number[]) => HostTensor = random,
): OperatorCase[] => [
  { title: 'equal shapes', inputs: { a: random([2, 3]), b: b([2, 3]) }, build },
  { title: 'a row', inputs: { a: random([2, 3]), b: b([3]) }, build },
  { title: 'crosswise', inputs: { a: random([2, 1, 3]), b: b([4, 1]) }, build },
  { title: 'rank 0', inputs: { a: random([]), b: b([2, 2]) }, build },
  { title: 'a number', inputs: { a: random([5]) }, build: (a) => build(a, op.expandTo(a, [5])) },
];

const one = (
  build: (x: Tensor) => Tensor,
  make: (shape: number[]) => HostTensor = random,
): OperatorCase[] => [
  { title: 'a matrix', inputs: { x: make([3, 5]) }, build },
  { title: 'rank 0', inputs: { x: make([]) }, build },
];

const conv = (
  title: string,
  [x, weight]: readonly [number[], number[]],
  options: op.Conv2dOptions = {},
  bias = false,
): OperatorCase => ({
  title,
  inputs: { x: random(x), weight: random(weight), ...(bias ? { bias: random([weight[0]!]) } : {}) },
  build: (x, weight, bias) => op.conv2d(x!, weight!, bias, options),
});

const attention = (
  title: string,
  [b, l, s, width]: readonly number[],
  options: op.AttentionOptions,
): OperatorCase => ({
  title,
  inputs: { q: random([b!, l!, width!]), k: random([b!, s!, width!]), v: random([b!, s!, width!]) },
  build: (q, k, v) => op.attention(q!, k!, v!, options),
});

export const operatorCases: Readonly<Record<string, readonly OperatorCase[]>> = {
  add: two(op.add),
  subtract: [
    ...two(op.subtract),
    { title: 'from a number', inputs: { x: random([3]) }, build: (x) => op.subtract(2, x!) },
  ],
  multiply: two(op.multiply),
  divide: [
    ...two(op.divide, positive),
    { title: 'of a number', inputs: { x: positive([3]) }, build: (x) => op.divide(2, x!) },
  ],
  expandTo: [
    { title: 'new axes', inputs: { x: random([3]) }, build: (x) => op.expandTo(x!, [2, 4, 3]) },
    { title: 'axes of size 1', inputs: { x: random([2, 1, 3]) }, build: (x) => op.expandTo(x!, [2, 4, 3]) },
    {
      title: 'the same shape',
      inputs: { x: random([2, 3]) },
      build: (x) => op.expandTo(op.negate(x!), [2, 3]),
    },
  ],
  sumTo: [
    { title: 'leading axes', inputs: { x: random([2, 4, 3]) }, build: (x) => op.sumTo(x!, [3]) },
    { title: 'axes of size 1', inputs: { x: random([2, 4, 3]) }, build: (x) => op.sumTo(x!, [1, 3]) },
    { title: 'rank 0', inputs: { x: random([2, 3]) }, build: (x) => op.sumTo(x!, []) },
  ],

  negate: one(op.negate),
  exp: one(op.exp),
  log: one(op.log, positive),
  sqrt: one(op.sqrt, positive),
  square: one(op.square),
  sin: one(op.sin),
  cos: one(op.cos),
  abs: one(op.abs, (shape) => awayFrom(0, shape)),
  relu: one(op.relu, (shape) => awayFrom(0, shape)),
  tanh: one(op.tanh),
  sigmoid: one(op.sigmoid),
  erf: one(op.erf),
  power: [...one((x) => op.power(x, 3)), ...one((x) => op.power(x, -1.5), positive)],
  clamp: one(
    (x) => op.clamp(x, -0.5, 0.75),
    (shape) => awayFrom(-0.5, shape, 0.75),
  ),
  cast: [
    ...one((x) => op.cast(op.multiply(op.cast(x, 'float64'), op.cast(x, 'float64')), 'float32')),
    {
      title: 'from int64',
      inputs: { ids: ids([4], 9) },
      build: (x) => op.cast(x!, 'float32'),
      differentiable: false,
    },
  ],
  stopGradient: one(op.stopGradient).map((c) => ({ ...c, differentiable: false })),
  greater: [
    {
      title: 'broadcast',
      inputs: { a: random([2, 3]), b: random([3]) },
      build: (a, b) => op.cast(op.greater(a!, b!), 'float32'),
      differentiable: false,
    },
  ],
  where: [
    {
      title: 'equal shapes',
      inputs: { c: bits([2, 3]), a: random([2, 3]), b: random([2, 3]) },
      build: op.where,
    },
    { title: 'broadcast', inputs: { c: bits([2, 1]), a: random([3]), b: random([]) }, build: op.where },
    { title: 'a number', inputs: { c: bits([4]), a: random([4]) }, build: (c, a) => op.where(c!, a!, 0) },
  ],

  silu: one(op.silu),
  quickGelu: one(op.quickGelu),
  gelu: one(op.gelu),
  geluTanh: one(op.geluTanh),

  matmul: [
    { title: 'matrices', inputs: { a: random([2, 3]), b: random([3, 4]) }, build: op.matmul },
    { title: 'a batch of each', inputs: { a: random([2, 3, 4]), b: random([2, 4, 2]) }, build: op.matmul },
    {
      title: 'one matrix for a batch',
      inputs: { a: random([2, 3, 4]), b: random([4, 2]) },
      build: op.matmul,
    },
    { title: 'crosswise', inputs: { a: random([2, 1, 3, 4]), b: random([3, 4, 2]) }, build: op.matmul },
  ],
  gemm: [false, true].flatMap((transposeA) =>
    [false, true].map((transposeB) => ({
      title: `${transposeA ? 'Aᵀ' : 'A'} · ${transposeB ? 'Bᵀ' : 'B'}${transposeA ? '' : ' + bias'}`,
      inputs: {
        a: random(transposeA ? [3, 2] : [2, 3]),
        b: random(transposeB ? [4, 3] : [3, 4]),
        ...(transposeA ? {} : { bias: random([4]) }),
      },
      build: (a: Tensor, b: Tensor, bias?: Tensor) => op.gemm(a, b, bias, { transposeA, transposeB }),
    })),
  ),
  quantizeLinear: [[4, 6], [3, 2, 2, 2], [5]].map((shape) => ({
    title: `rank ${shape.length}`,
    inputs: { x: random(shape), scale: positive([shape[0]!]) },
    build: (x: Tensor, scale: Tensor) => op.quantizeLinear(x, op.divide(scale, 100)),
    differentiable: false,
  })),
  dequantizeLinear: [
    [4, 6],
    [3, 2, 2, 2],
  ].map((shape) => ({
    title: `rank ${shape.length}`,
    inputs: { x: random(shape), scale: positive([shape[0]!]) },
    build: (x: Tensor, scale: Tensor) =>
      op.dequantizeLinear(op.quantizeLinear(x, op.divide(scale, 100)), scale),
    differentiable: false,
  })),
  dynamicQuantizeMatMul: [false, true].map((hasBias) => ({
    title: hasBias ? 'with a bias' : 'without a bias',
    inputs: {
      a: random([5, 8]),
      b: random([6, 8]),
      scale: positive([6]),
      ...(hasBias && { bias: random([6]) }),
    },
    build: (a: Tensor, b: Tensor, scale: Tensor, bias?: Tensor) => {
      const q = op.quantizeLinear(b, op.divide(scale, 100));
      return op.dynamicQuantizeMatMul(a, op.transpose(q, [1, 0]), op.divide(scale, 100), bias);
    },
    differentiable: false,
    // OpenVINO leaves the first factor as it is.
    tolerance: 0.01,
  })),
  conv2d: [
    conv(
      '1×1',
      [
        [2, 3, 4, 5],
        [4, 3, 1, 1],
      ],
      {},
      true,
    ),
    conv(
      '3×3, padding 1',
      [
        [2, 3, 5, 4],
        [2, 3, 3, 3],
      ],
      { padding: 1 },
      true,
    ),
    conv('3×3 without padding', [
      [1, 2, 5, 6],
      [3, 2, 3, 3],
    ]),
    conv(
      'stride 2 that fits',
      [
        [2, 2, 7, 7],
        [3, 2, 3, 3],
      ],
      { stride: 2, padding: 1 },
      true,
    ),
    conv(
      'stride 2 that leaves a remainder',
      [
        [1, 2, 6, 8],
        [3, 2, 3, 3],
      ],
      { stride: 2, padding: 1 },
    ),
    conv(
      'stride 2, padded at the end only',
      [
        [1, 2, 6, 6],
        [2, 2, 3, 3],
      ],
      { stride: 2, padding: [0, 0, 1, 1] },
      true,
    ),
    conv(
      'stride 3, kernel 2×3',
      [
        [1, 1, 8, 9],
        [2, 1, 2, 3],
      ],
      { stride: 3 },
    ),
    conv(
      'dilation 2',
      [
        [1, 2, 7, 7],
        [2, 2, 3, 3],
      ],
      { dilation: 2, padding: 2 },
      true,
    ),
    conv(
      'dilation 2, stride 2',
      [
        [1, 1, 9, 8],
        [2, 1, 3, 3],
      ],
      { dilation: 2, stride: 2, padding: 1 },
    ),
    conv(
      'groups',
      [
        [2, 4, 5, 5],
        [6, 2, 3, 3],
      ],
      { groups: 2, padding: 1 },
      true,
    ),
    conv(
      'depthwise, stride 2',
      [
        [1, 3, 6, 6],
        [3, 1, 3, 3],
      ],
      { groups: 3, stride: 2, padding: 1 },
      true,
    ),
    conv(
      'more padding than reach',
      [
        [1, 2, 3, 3],
        [2, 2, 1, 1],
      ],
      { padding: 1 },
      true,
    ),
    // The gradients of larger pictures, and of wider ones, are written in other ways.
    conv(
      '10×9 pixels',
      [
        [2, 3, 10, 9],
        [4, 3, 3, 3],
      ],
      { padding: 1 },
      true,
    ),
    conv('10×9 pixels, kernel 3×2, no padding', [
      [1, 2, 10, 9],
      [3, 2, 3, 2],
    ]),
    conv(
      '10×9 pixels, padding on some sides',
      [
        [1, 2, 10, 9],
        [3, 2, 3, 3],
      ],
      { padding: [0, 1, 2, 0] },
      true,
    ),
    conv(
      '10×9 pixels, groups',
      [
        [1, 4, 10, 9],
        [2, 2, 3, 3],
      ],
      { groups: 2, padding: 1 },
    ),
    conv(
      '3×33 pixels',
      [
        [2, 2, 3, 33],
        [3, 2, 3, 3],
      ],
      { padding: 1 },
      true,
    ),
    conv(
      '3×33 pixels, kernel 2×5, padding on some sides',
      [
        [2, 1, 3, 33],
        [2, 1, 2, 5],
      ],
      { padding: [1, 0, 0, 3] },
    ),
    conv(
      '9×33 pixels, 33 channels',
      [
        [1, 33, 9, 33],
        [1, 33, 1, 3],
      ],
      { padding: [0, 1, 0, 1] },
    ),
    conv(
      'patches',
      [
        [2, 3, 8, 8],
        [5, 3, 4, 4],
      ],
      { stride: 4 },
    ),
  ],

  reshape: [
    { title: 'a given shape', inputs: { x: random([2, 6]) }, build: (x) => op.reshape(x!, [3, 4]) },
    { title: 'one size left open', inputs: { x: random([2, 6]) }, build: (x) => op.reshape(x!, [-1, 2, 2]) },
    { title: 'rank 0', inputs: { x: random([1, 1]) }, build: (x) => op.reshape(x!, []) },
  ],
  transpose: [
    { title: 'a matrix', inputs: { x: random([2, 3]) }, build: (x) => op.transpose(x!, [1, 0]) },
    { title: 'four axes', inputs: { x: random([2, 3, 4, 2]) }, build: (x) => op.transpose(x!, [2, 0, 3, 1]) },
  ],
  slice: [
    { title: 'first axis', inputs: { x: random([5, 2]) }, build: (x) => op.slice(x!, 0, 1, 4) },
    { title: 'last axis', inputs: { x: random([2, 5]) }, build: (x) => op.slice(x!, -1, 2, 5) },
  ],
  concat: [
    {
      title: 'first axis',
      inputs: { a: random([1, 3]), b: random([2, 3]) },
      build: (...xs) => op.concat(xs, 0),
    },
    {
      title: 'three, middle axis',
      inputs: { a: random([2, 1, 3]), b: random([2, 2, 3]), c: random([2, 3, 3]) },
      build: (...xs) => op.concat(xs, 1),
    },
  ],
  split: [
    { title: 'all parts', inputs: { x: random([2, 6]) }, build: (x) => op.split(x!, [1, 2, 3], 1) },
    { title: 'one part used', inputs: { x: random([5, 2]) }, build: (x) => op.split(x!, [2, 3], 0)[1]! },
  ],
  pad: [
    {
      title: 'all sides',
      inputs: { x: random([2, 3]) },
      build: (x) =>
        op.pad(x!, [
          [1, 2],
          [0, 1],
        ]),
    },
    {
      title: 'with a value',
      inputs: { x: random([2, 3]) },
      build: (x) =>
        op.pad(
          x!,
          [
            [0, 0],
            [2, 0],
          ],
          -1.5,
        ),
    },
  ],

  reduceSum: [
    { title: 'all axes', inputs: { x: random([2, 3, 4]) }, build: (x) => op.reduceSum(x!) },
    { title: 'middle axis', inputs: { x: random([2, 3, 4]) }, build: (x) => op.reduceSum(x!, [1]) },
    {
      title: 'outer axes, kept',
      inputs: { x: random([2, 3, 4]) },
      build: (x) => op.reduceSum(x!, [0, -1], true),
    },
  ],
  reduceMean: [
    { title: 'all axes', inputs: { x: random([2, 3, 4]) }, build: (x) => op.reduceMean(x!) },
    {
      title: 'last axis, kept',
      inputs: { x: random([2, 3, 4]) },
      build: (x) => op.reduceMean(x!, [-1], true),
    },
  ],
  reduceMax: [
    {
      title: 'all axes',
      inputs: { x: random([2, 3, 4]) },
      build: (x) => op.reduceMax(x!),
      differentiable: false,
    },
    {
      title: 'last axis, kept',
      inputs: { x: random([2, 3, 4]) },
      build: (x) => op.reduceMax(x!, [-1], true),
      differentiable: false,
    },
  ],
  softmax: [
    { title: 'last axis', inputs: { x: random([2, 3, 4]) }, build: (x) => op.softmax(x!) },
    { title: 'middle axis', inputs: { x: random([2, 3, 4]) }, build: (x) => op.softmax(x!, 1) },
  ],
  layerNorm: [
    {
      title: 'with a bias',
      inputs: { x: random([2, 3, 8]), scale: random([8]), bias: random([8]) },
      build: (x, scale, bias) => op.layerNorm(x!, scale!, bias, 1e-5),
    },
    {
      title: 'without a bias',
      inputs: { x: random([4, 6]), scale: random([6]) },
      build: (x, scale) => op.layerNorm(x!, scale!, undefined, 1e-3),
    },
  ],
  groupNorm: [
    {
      title: 'pictures',
      inputs: { x: random([2, 6, 3, 2]), scale: random([6]), bias: random([6]) },
      build: (x, scale, bias) => op.groupNorm(x!, scale!, bias!, 3, 1e-5),
    },
    {
      title: 'sequences, one group',
      inputs: { x: random([2, 4, 5]), scale: random([4]), bias: random([4]) },
      build: (x, scale, bias) => op.groupNorm(x!, scale!, bias!, 1, 1e-6),
    },
  ],

  gather: [
    {
      title: 'ids that repeat',
      inputs: { table: random([4, 3]), ids: ids([2, 5], 4) },
      build: (table, at) => op.gather(table!, at!),
    },
    {
      title: 'one id',
      inputs: { table: random([4, 3]), ids: ids([1], 4) },
      build: (table, at) => op.gather(table!, at!),
    },
  ],
  resizeNearest: [
    {
      title: 'twice the size',
      inputs: { x: random([1, 2, 3, 2]) },
      build: (x) => op.resizeNearest(x!, [6, 4]),
    },
    {
      title: 'an odd ratio',
      inputs: { x: random([2, 1, 3, 4]) },
      build: (x) => op.resizeNearest(x!, [5, 7]),
    },
    { title: 'smaller', inputs: { x: random([1, 2, 6, 5]) }, build: (x) => op.resizeNearest(x!, [3, 2]) },
  ],
  attention: [
    attention('self-attention', [2, 5, 5, 8], { heads: 2 }),
    attention('cross-attention', [2, 6, 3, 4], { heads: 1 }),
    attention('causal', [1, 5, 5, 6], { heads: 3, causal: true }),
    attention('long enough for the fused kernel', [1, 512, 64, 4], { heads: 2 }),
    attention('fused and causal', [1, 182, 182, 4], { heads: 2, causal: true }),
  ],
};
