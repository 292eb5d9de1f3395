/** Softmax, layer norm and group norm. */
import { elementCount, formatShape, normalizeAxis, ShapeError } from '../shape.ts';
import { filled, operation, operationWithOutputs, rule, type Tensor, withGradient } from '../tensor.ts';
import { add, multiply, subtract } from './arithmetic.ts';
import { matmul } from './matmul.ts';
import { reduceSum } from './reduce.ts';
import { reshape } from './shape.ts';

/** exp(x) / Σ exp(x) along one axis. */
export function softmax(x: Tensor, axis = -1): Tensor {
  const at = normalizeAxis('Softmax', axis, x.shape.length);
  const y: Tensor = operation('Softmax', [x], x.shape, x.dtype, {
    attributes: { axis: { int: at } },
    gradient: rule((g) => [multiply(y, subtract(g, reduceSum(multiply(g, y), [at], true)))]),
  });
  return y;
}

/**
 * (x − mean) / √(variance + ε) · scale + bias over the last axis (Ba et al. 2016).
 * x: [..., C], scale and bias: [C].
 */
export function layerNorm(x: Tensor, scale: Tensor, bias: Tensor | undefined, epsilon: number): Tensor {
  const width = x.shape.at(-1);
  if (width === undefined || scale.shape.length !== 1 || scale.shape[0] !== width) {
    throw new ShapeError(
      `LayerNormalization: a scale of ${formatShape(scale.shape)} does not fit ${formatShape(x.shape)}`,
    );
  }
  const { y, inverseStd } = normalized(x, scale, bias, epsilon, (g) => {
    const rows = elementCount(x.shape) / width;
    const upstream = reshape(g, [rows, width]);
    // Once more without the scale: that is less to read and write than to take it back.
    const plain = reshape(normalized(x, filled([width], 1), undefined, epsilon).y, [rows, width]);
    const product = multiply(upstream, plain);
    // A product with a vector sums a matrix faster than ReduceSum does.
    const column = multiply(reshape(scale, [width, 1]), 1 / width);
    const row = filled([1, rows], 1);
    const centered = subtract(multiply(upstream, scale), matmul(upstream, column));
    const across = subtract(centered, multiply(plain, matmul(product, column)));
    return [
      reshape(multiply(across, reshape(inverseStd, [rows, 1])), x.shape),
      reshape(matmul(row, product), scale.shape),
      bias && reshape(matmul(row, upstream), bias.shape),
    ];
  });
  return y;
}

/**
 * Normalises every group of channels over the group's channels and all places (Wu & He 2018).
 * x: [B, C, ...], scale and bias: [C].
 */
export function groupNorm(x: Tensor, scale: Tensor, bias: Tensor, groups: number, epsilon: number): Tensor {
  const [batch, channels] = x.shape;
  if (
    batch === undefined ||
    channels === undefined ||
    channels % groups !== 0 ||
    scale.shape[0] !== channels
  ) {
    throw new ShapeError(
      `group norm: ${groups} groups and a scale of ${formatShape(scale.shape)} do not fit ${formatShape(x.shape)}`,
    );
  }
  const size = elementCount(x.shape) / (batch * groups);
  const grouped = reshape(x, [batch * groups, size]);
  const { y, inverseStd } = normalized(grouped, filled([size], 1), undefined, epsilon);
  const perChannel = [1, channels, ...x.shape.slice(2).map(() => 1)];
  const scaled = multiply(reshape(y, x.shape), reshape(scale, perChannel));
  const gradient = rule((g) => {
    const members = channels / groups;
    const byChannel = [batch, groups, members, size / members];
    const upstream = reshape(g, byChannel);
    const plain = reshape(y, byChannel);
    // Of each channel of each sample: Σ g and Σ g·x̂. Everything else is made of these small ones.
    const sums = reduceSum(upstream, [3], true);
    const parallels = reduceSum(multiply(upstream, plain), [3], true);
    const factor = reshape(scale, [1, groups, members, 1]);
    const deviation = reshape(inverseStd, [batch, groups, 1, 1]);
    const share = multiply(factor, multiply(deviation, 1 / size));
    const meanOf = (values: Tensor) => reduceSum(multiply(share, values), [2], true);
    const centered = subtract(multiply(upstream, multiply(factor, deviation)), meanOf(sums));
    return [
      reshape(subtract(centered, multiply(plain, meanOf(parallels))), x.shape),
      reshape(reduceSum(parallels, [0]), scale.shape),
      reshape(reduceSum(sums, [0]), bias.shape),
    ];
  });
  return withGradient(add(scaled, reshape(bias, perChannel)), [x, scale, bias], gradient);
}

/** The operator, and 1 / √(variance + ε), [..., 1]. */
function normalized(
  x: Tensor,
  scale: Tensor,
  bias: Tensor | undefined,
  epsilon: number,
  gradient?: (g: Tensor) => readonly (Tensor | undefined)[],
) {
  const statistics = [...x.shape.slice(0, -1), 1];
  const [y, , inverseStd] = operationWithOutputs(
    'LayerNormalization',
    bias ? [x, scale, bias] : [x, scale],
    [x.shape, statistics, statistics].map((shape) => ({ shape, dtype: x.dtype })),
    {
      attributes: { axis: { int: -1 }, epsilon: { float: epsilon } },
      ...(gradient && { gradient: rule(gradient) }),
    },
  ) as [Tensor, Tensor, Tensor];
  return { y, inverseStd };
}
