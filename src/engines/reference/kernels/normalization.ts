/** Operators that look along an axis before they change its elements. */
import { normalizeAxis, stridesOf } from '../../../graph/shape.ts';
import { type Kernel, required } from '../kernel.ts';
import { tabulate } from '../value.ts';
import { softmaxOf } from './matrix.ts';

export const normalization: Readonly<Record<string, Kernel>> = {
  Softmax: (inputs, attributes) => {
    const x = required(inputs, 0);
    const axis = normalizeAxis('Softmax', attributes.number('axis', -1), x.shape.length);
    const size = x.shape[axis]!;
    const stride = stridesOf(x.shape)[axis]!;
    const data = new Float64Array(x.data.length);
    for (let i = 0; i < data.length; i++) {
      if (Math.floor(i / stride) % size !== 0) continue; // not the first of its row
      softmaxOf(size, (j) => x.data[i + j * stride]!).forEach((p, j) => {
        data[i + j * stride] = p;
      });
    }
    return { ...x, data };
  },

  /** (x − mean) / √(variance + ε) · scale + bias over the axes from `axis` on; also the mean and 1/√(variance + ε). */
  LayerNormalization: (inputs, attributes) => {
    const [x, scale, bias] = [required(inputs, 0), required(inputs, 1), inputs[2]];
    const epsilon = attributes.number('epsilon', 1e-5);
    const axis = normalizeAxis('LayerNormalization', attributes.number('axis', -1), x.shape.length);
    const size = scale.data.length;
    const statistics = x.shape.map((whole, i) => (i < axis ? whole : 1));
    const row = (i: number) => x.data.subarray(i * size, (i + 1) * size);
    const mean = tabulate(x.dtype, statistics, (i) => row(i).reduce((sum, y) => sum + y, 0) / size);
    const inverseStd = tabulate(x.dtype, statistics, (i) => {
      const variance = row(i).reduce((sum, y) => sum + (y - mean.data[i]!) ** 2, 0) / size;
      return 1 / Math.sqrt(variance + epsilon);
    });
    const y = tabulate(x.dtype, x.shape, (i) => {
      const at = Math.floor(i / size);
      const normalized = (x.data[i]! - mean.data[at]!) * inverseStd.data[at]!;
      return normalized * scale.data[i % size]! + (bias ? bias.data[i % size]! : 0);
    });
    return [y, mean, inverseStd];
  },
};
