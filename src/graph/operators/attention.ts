/** Scaled dot-product attention over several heads. */
import { hostTensor } from '../host-tensor.ts';
import { formatShape, ShapeError } from '../shape.ts';
import { constant, operation, rule, type Tensor } from '../tensor.ts';
import { add, multiply, subtract } from './arithmetic.ts';
import { matmul } from './matmul.ts';
import { softmax } from './normalization.ts';
import { reduceSum } from './reduce.ts';
import { reshape, transpose } from './shape.ts';

/** How many heads share the channels, and who sees whom. */
export interface AttentionOptions {
  readonly heads: number;
  /** Each place sees only itself and what comes before it. */
  readonly causal?: boolean;
}

/** From this many scores per head on, ONNX Runtime's fused kernel is faster than separate operators. */
const FUSED_FROM_SCORES = 512 * 64;

/**
 * softmax(q kᵀ / √D) v for each head (Vaswani et al. 2017, eq. 1).
 * q: [B, L, heads·D], k, v: [B, S, heads·D] → [B, L, heads·D].
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { heads, causal = false }: AttentionOptions,
): Tensor {
  const [batch, length, width] = q.shape as [number, number, number];
  const [batchK, places, widthK] = k.shape as [number, number, number];
  if (
    q.shape.length !== 3 ||
    k.shape.length !== 3 ||
    batch !== batchK ||
    width !== widthK ||
    width % heads !== 0
  ) {
    throw new ShapeError(
      `attention: q ${formatShape(q.shape)}, k ${formatShape(k.shape)} with ${heads} heads do not fit together`,
    );
  }
  const scale = 1 / Math.sqrt(width / heads);
  if (length * places < FUSED_FROM_SCORES) {
    const scores = causal
      ? add(headScores(q, k, heads, scale), causalMask(length, places))
      : headScores(q, k, heads, scale);
    return joinHeads(matmul(softmax(scores), splitHeads(v, heads)));
  }
  return operation('MultiHeadAttention', [q, k, v], q.shape, q.dtype, {
    domain: 'com.microsoft',
    attributes: {
      num_heads: { int: heads },
      scale: { float: scale },
      unidirectional: { int: causal ? 1 : 0 },
    },
    // The kernel keeps no probabilities, so the backward pass computes them again.
    gradient: rule((g) => {
      const scores = headScores(q, k, heads, scale);
      const p = softmax(causal ? add(scores, causalMask(length, places)) : scores);
      const gHeads = splitHeads(g, heads);
      const dp = matmul(gHeads, transpose(splitHeads(v, heads), [0, 1, 3, 2]));
      const ds = multiply(multiply(p, subtract(dp, reduceSum(multiply(dp, p), [-1], true))), scale);
      return [
        joinHeads(matmul(ds, splitHeads(k, heads))),
        joinHeads(matmul(transpose(ds, [0, 1, 3, 2]), splitHeads(q, heads))),
        joinHeads(matmul(transpose(p, [0, 1, 3, 2]), gHeads)),
      ];
    }),
  });
}

/** q kᵀ · scale: [B, heads, L, S] */
function headScores(q: Tensor, k: Tensor, heads: number, scale: number): Tensor {
  // Scaling the smaller operand first saves a pass over the scores.
  return matmul(splitHeads(multiply(q, scale), heads), transpose(splitHeads(k, heads), [0, 1, 3, 2]));
}

/** [B, L, heads·D] → [B, heads, L, D] */
function splitHeads(x: Tensor, heads: number): Tensor {
  const [b, l, width] = x.shape as [number, number, number];
  return transpose(reshape(x, [b, l, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, heads, L, D] → [B, L, heads·D] */
function joinHeads(x: Tensor): Tensor {
  const [b, heads, l, d] = x.shape as [number, number, number, number];
  return reshape(transpose(x, [0, 2, 1, 3]), [b, l, heads * d]);
}

function causalMask(length: number, places: number): Tensor {
  const data = new Float32Array(length * places);
  for (let i = 0; i < length; i++) data.fill(-3.4028234663852886e38, i * places + i + 1, (i + 1) * places);
  return constant(hostTensor(data, [1, 1, length, places]));
}
