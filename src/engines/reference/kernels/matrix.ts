/** Matrix products and attention. */
import { broadcastShapes, elementCount } from '../../../graph/shape.ts';
import { repeatedIndex } from '../indexing.ts';
import { type Kernel, required } from '../kernel.ts';
import { tabulate, type Value } from '../value.ts';

export const matrix: Readonly<Record<string, Kernel>> = {
  /** a [..., M, K] · b [..., K, N] → [..., M, N] */
  MatMul: (inputs) => {
    const [a, b] = [required(inputs, 0), required(inputs, 1)];
    const [m, k, n] = [a.shape.at(-2)!, a.shape.at(-1)!, b.shape.at(-1)!];
    const [batchA, batchB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
    const batch = broadcastShapes('MatMul', batchA, batchB);
    const [matrixA, matrixB] = [repeatedIndex(batchA, batch), repeatedIndex(batchB, batch)];
    return tabulate(a.dtype, [...batch, m, n], (i) => {
      const column = i % n;
      const row = Math.floor(i / n) % m;
      const item = Math.floor(i / (n * m));
      const [startA, startB] = [matrixA(item) * m * k, matrixB(item) * k * n];
      let sum = 0;
      for (let j = 0; j < k; j++) sum += a.data[startA + row * k + j]! * b.data[startB + j * n + column]!;
      return sum;
    });
  },

  /** alpha · A B + beta · C, A and B as they are or transposed, C repeated to [M, N] */
  Gemm: (inputs, attributes) => {
    const [a, b, c] = [required(inputs, 0), required(inputs, 1), inputs[2]];
    const [transA, transB] = [attributes.number('transA', 0), attributes.number('transB', 0)];
    const [alpha, beta] = [attributes.number('alpha', 1), attributes.number('beta', 1)];
    const [rowsA, columnsA] = a.shape as [number, number];
    const [rowsB, columnsB] = b.shape as [number, number];
    const [m, k, n] = [transA ? columnsA : rowsA, transA ? rowsA : columnsA, transB ? rowsB : columnsB];
    const cIndex = c && repeatedIndex(c.shape, [m, n]);
    return tabulate(a.dtype, [m, n], (i) => {
      const [row, column] = [Math.floor(i / n), i % n];
      let sum = 0;
      for (let j = 0; j < k; j++) {
        const left = a.data[transA ? j * columnsA + row : row * columnsA + j]!;
        const right = b.data[transB ? column * columnsB + j : j * columnsB + column]!;
        sum += left * right;
      }
      return alpha * sum + (c && cIndex ? beta * c.data[cIndex(i)]! : 0);
    });
  },

  /** q [B, L, heads·D], k and v [B, S, heads·D] → softmax(scale · q kᵀ) v by head, [B, L, heads·D] */
  MultiHeadAttention: (inputs, attributes) => {
    const [q, k, v] = [required(inputs, 0), required(inputs, 1), required(inputs, 2)];
    if (inputs.slice(3).some((x) => x)) throw new Error('only query, key and value are supported');
    const heads = attributes.number('num_heads', 1);
    const [batch, length, width] = q.shape as [number, number, number];
    const [, places, widthV] = v.shape as [number, number, number];
    const scale = attributes.number('scale', 1 / Math.sqrt(width / heads));
    const causal = attributes.number('unidirectional', 0) === 1;
    const data = new Float64Array(elementCount([batch, length, widthV]));
    for (let item = 0; item < batch; item++) {
      for (let head = 0; head < heads; head++) {
        for (let row = 0; row < length; row++) {
          const seen = causal ? Math.min(row + 1, places) : places;
          const weights = softmaxOf(
            seen,
            (place) => scale * headProduct(q, k, item, head, heads, row, place),
          );
          for (let i = 0; i < widthV / heads; i++) {
            const column = (head * widthV) / heads + i;
            let sum = 0;
            weights.forEach((weight, place) => {
              sum += weight * v.data[(item * places + place) * widthV + column]!;
            });
            data[(item * length + row) * widthV + column] = sum;
          }
        }
      }
    }
    return { dtype: q.dtype, shape: [batch, length, widthV], data };
  },
};

/** The product of a query's and a key's part that belong to one head. */
function headProduct(
  q: Value,
  k: Value,
  item: number,
  head: number,
  heads: number,
  row: number,
  place: number,
): number {
  const width = q.shape[2]!;
  const size = width / heads;
  const startQ = (item * q.shape[1]! + row) * width + head * size;
  const startK = (item * k.shape[1]! + place) * width + head * size;
  let sum = 0;
  for (let i = 0; i < size; i++) sum += q.data[startQ + i]! * k.data[startK + i]!;
  return sum;
}

/** exp(x − max) / Σ exp(x − max) of `count` numbers. */
export function softmaxOf(count: number, score: (index: number) => number): number[] {
  const scores = Array.from({ length: count }, (_, i) => score(i));
  const max = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exponentials = scores.map((x) => Math.exp(x - max));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((x) => x / sum);
}
