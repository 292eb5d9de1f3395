/** Activation functions. */
import { operation, rule, type Tensor } from '../tensor.ts';
import { add, multiply, subtract } from './arithmetic.ts';
import { erf, exp, sigmoid, square, tanh } from './pointwise.ts';

/** x · sigmoid(x) (Elfwing et al. 2018), also called swish. */
export const silu = (x: Tensor): Tensor => sigmoidGated(x, 1);

/** x · sigmoid(1.702 x), the approximation of GELU in OpenAI's CLIP. */
export const quickGelu = (x: Tensor): Tensor => sigmoidGated(x, 1.702);

/** x · Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016), exact. */
export function gelu(x: Tensor): Tensor {
  return operation('Gelu', [x], x.shape, x.dtype, {
    attributes: { approximate: { string: 'none' } },
    gradient: rule((g) => {
      const distribution = add(multiply(erf(multiply(x, Math.SQRT1_2)), 0.5), 0.5);
      const density = multiply(exp(multiply(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return [multiply(g, add(distribution, multiply(x, density)))];
    }),
  });
}

/** GELU with Φ approximated through tanh, `gelu_new` and `gelu_pytorch_tanh` in transformers. */
export function geluTanh(x: Tensor): Tensor {
  const inner = multiply(Math.sqrt(2 / Math.PI), add(x, multiply(0.044715, multiply(x, square(x)))));
  return multiply(multiply(0.5, x), add(1, tanh(inner)));
}

/** x · sigmoid(α x) in one pass: ONNX Runtime's QuickGelu. */
function sigmoidGated(x: Tensor, alpha: number): Tensor {
  const y: Tensor = operation('QuickGelu', [x], x.shape, x.dtype, {
    domain: 'com.microsoft',
    attributes: { alpha: { float: alpha } },
    gradient: rule((g) => {
      const s = sigmoid(alpha === 1 ? x : multiply(x, alpha));
      const curve = multiply(y, subtract(1, s));
      return [multiply(g, add(s, alpha === 1 ? curve : multiply(curve, alpha)))];
    }),
  });
  return y;
}
