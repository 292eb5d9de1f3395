/** Softmax, layer norm and group norm. */
import { elementCount, formatShape, normalizeAxis, ShapeError } from '../shape.ts';
import { filled, operation, operationWithOutputs, rule, type Tensor } from '../tensor.ts';
import { add, multiply, subtract } from './arithmetic.ts';
import { sumTo } from './broadcast.ts';
import { reduceMean, reduceSum } from './reduce.ts';
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
  if (scale.shape.length !== 1 || scale.shape[0] !== width) {
    throw new ShapeError(
      `LayerNormalization: a scale of ${formatShape(scale.shape)} does not fit ${formatShape(x.shape)}`,
    );
  }
  const statistics = [...x.shape.slice(0, -1), 1];
  const [y, mean, inverseStd] = operationWithOutputs(
    'LayerNormalization',
    bias ? [x, scale, bias] : [x, scale],
    [x.shape, statistics, statistics].map((shape) => ({ shape, dtype: x.dtype })),
    {
      attributes: { axis: { int: -1 }, epsilon: { float: epsilon } },
      gradient: rule((g) => {
        const normalized = multiply(subtract(x, mean!), inverseStd!);
        const upstream = multiply(g, scale);
        const parallel = multiply(normalized, reduceMean(multiply(upstream, normalized), [-1], true));
        const centered = subtract(upstream, reduceMean(upstream, [-1], true));
        return [
          multiply(subtract(centered, parallel), inverseStd!),
          sumTo(multiply(g, normalized), scale.shape),
          bias && sumTo(g, bias.shape),
        ];
      }),
    },
  );
  return y!;
}

/**
 * Normalises every group of channels over the group's channels and all places (Wu & He 2018).
 * x: [B, C, ...], scale and bias: [C].
 */
export function groupNorm(x: Tensor, scale: Tensor, bias: Tensor, groups: number, epsilon: number): Tensor {
  const [batch, channels] = x.shape;
  if (channels === undefined || channels % groups !== 0 || scale.shape[0] !== channels) {
    throw new ShapeError(
      `group norm: ${groups} groups and a scale of ${formatShape(scale.shape)} do not fit ${formatShape(x.shape)}`,
    );
  }
  const size = elementCount(x.shape) / (batch! * groups);
  const normalized = layerNorm(reshape(x, [batch! * groups, size]), filled([size], 1), undefined, epsilon);
  const perChannel = [1, channels, ...x.shape.slice(2).map(() => 1)];
  return add(multiply(reshape(normalized, x.shape), reshape(scale, perChannel)), reshape(bias, perChannel));
}
