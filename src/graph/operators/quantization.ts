/** Numbers of 8 bits in place of floats: q = round(x / scale), and back. No gradient flows through them. */
import { hostTensor } from '../host-tensor.ts';
import { formatShape, ShapeError } from '../shape.ts';
import { constant, operation, type Tensor } from '../tensor.ts';

/** x [N, …] float32 and scale [N], one for each index of the first axis → int8 in [−128, 127], saturated. */
export function quantizeLinear(x: Tensor, scale: Tensor): Tensor {
  requireScales('QuantizeLinear', x, scale);
  // The type of the zero point is that of the result.
  const zero = constant(hostTensor(new Int8Array(x.shape[0]!), [x.shape[0]!]));
  return operation('QuantizeLinear', [x, scale, zero], x.shape, 'int8', { attributes: { axis: { int: 0 } } });
}

/** q [N, …] int8 and scale [N], one for each index of the first axis → q · scale, float32. */
export function dequantizeLinear(q: Tensor, scale: Tensor): Tensor {
  requireScales('DequantizeLinear', q, scale);
  return operation('DequantizeLinear', [q, scale], q.shape, 'float32', { attributes: { axis: { int: 0 } } });
}

/**
 * a [M, K] float32 · b [K, N] int8 · scale [N] + bias [N] → [M, N] float32. `a` is rounded to 8 bits too, with one scale
 * and one zero point for all of it, and the products are summed up as integers.
 */
export function dynamicQuantizeMatMul(a: Tensor, b: Tensor, scale: Tensor, bias?: Tensor): Tensor {
  const [m, k] = a.shape;
  const [k2, n] = b.shape;
  const fits = a.shape.length === 2 && b.shape.length === 2 && k === k2;
  if (!fits || scale.shape.length !== 1 || scale.shape[0] !== n || (bias && bias.shape[0] !== n)) {
    throw new ShapeError(
      `DynamicQuantizeMatMul: ${formatShape(a.shape)} · ${formatShape(b.shape)} with the scales ` +
        `${formatShape(scale.shape)}${bias ? ` + ${formatShape(bias.shape)}` : ''} do not fit together`,
    );
  }
  const inputs = [a, b, scale, ...(bias ? [undefined, bias] : [])];
  return operation('DynamicQuantizeMatMul', inputs, [m!, n!], 'float32', { domain: 'com.microsoft' });
}

function requireScales(type: string, { shape }: Tensor, scale: Tensor): void {
  if (shape.length > 0 && scale.shape.length === 1 && scale.shape[0] === shape[0]) return;
  throw new ShapeError(
    `${type}: ${formatShape(shape)} needs a scale for each index of its first axis, got ${formatShape(scale.shape)}`,
  );
}
