/** Matrix products. */
import { broadcastShapes, formatShape, ShapeError } from '../shape.ts';
import { filled, operation, rule, type Tensor } from '../tensor.ts';
import { sumTo } from './broadcast.ts';
import { reshape, transpose } from './shape.ts';

/** a [..., M, K] · b [..., K, N] → [..., M, N]; the leading axes broadcast. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const [m, k] = a.shape.slice(-2);
  const [k2, n] = b.shape.slice(-2);
  if (a.shape.length < 2 || b.shape.length < 2 || k !== k2) {
    throw new ShapeError(
      `MatMul: ${formatShape(a.shape)} · ${formatShape(b.shape)}: the last axis of the first must equal the last but one of the second`,
    );
  }
  const batch = broadcastShapes('MatMul', a.shape.slice(0, -2), b.shape.slice(0, -2));
  return operation('MatMul', [a, b], [...batch, m!, n!], a.dtype, {
    gradient: rule((g) => [
      sumTo(matmul(g, swapLastAxes(b)), a.shape),
      sumTo(matmul(swapLastAxes(a), g), b.shape),
    ]),
  });
}

/** Which of the two matrices are given with their axes exchanged. */
export interface GemmOptions {
  /** Takes `a` as [K, M]. */
  readonly transposeA?: boolean;
  /** Takes `b` as [N, K], the way linear layers store their weight. */
  readonly transposeB?: boolean;
}

/** a [M, K] · b [K, N] + bias [N] → [M, N] */
export function gemm(a: Tensor, b: Tensor, bias?: Tensor, options: GemmOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  const [m, k] = transposeA ? [a.shape[1], a.shape[0]] : a.shape;
  const [k2, n] = transposeB ? [b.shape[1], b.shape[0]] : b.shape;
  if (a.shape.length !== 2 || b.shape.length !== 2 || k !== k2 || (bias && bias.shape[0] !== n)) {
    throw new ShapeError(
      `Gemm: ${formatShape(a.shape)}${transposeA ? 'ᵀ' : ''} · ${formatShape(b.shape)}${transposeB ? 'ᵀ' : ''}` +
        `${bias ? ` + ${formatShape(bias.shape)}` : ''} do not fit together`,
    );
  }
  return operation('Gemm', bias ? [a, b, bias] : [a, b], [m!, n!], a.dtype, {
    attributes: { transA: { int: transposeA ? 1 : 0 }, transB: { int: transposeB ? 1 : 0 } },
    gradient: rule((g) => [
      transposeA
        ? gemm(b, g, undefined, { transposeA: transposeB, transposeB: true })
        : gemm(g, b, undefined, { transposeB: !transposeB }),
      transposeB
        ? gemm(g, a, undefined, { transposeA: true, transposeB: transposeA })
        : gemm(a, g, undefined, { transposeA: !transposeA }),
      // A product with a row of ones sums columns faster than ReduceSum does.
      bias && reshape(gemm(filled([1, m!], 1), g), bias.shape),
    ]),
  });
}

function swapLastAxes(x: Tensor): Tensor {
  const axes = [...x.shape.keys()];
  return transpose(x, [...axes.slice(0, -2), axes.length - 1, axes.length - 2]);
}
