/** Nearest-neighbour resizing. */
import { hostTensor } from '../host-tensor.ts';
import { formatShape, ShapeError } from '../shape.ts';
import { constant, int64s, operation, rule, type Tensor } from '../tensor.ts';
import { matmul } from './matmul.ts';
import { reduceSum } from './reduce.ts';
import { reshape } from './shape.ts';

/** x [B, C, H, W] → [B, C, height, width]; target place i reads source place ⌊i · size/target⌋, as PyTorch. */
export function resizeNearest(x: Tensor, [height, width]: readonly [number, number]): Tensor {
  if (x.shape.length !== 4) throw new ShapeError(`Resize: needs [B, C, H, W], got ${formatShape(x.shape)}`);
  const [b, c, h, w] = x.shape as [number, number, number, number];
  if (height === h && width === w) return x;
  return operation(
    'Resize',
    [x, undefined, undefined, int64s([b, c, height, width])],
    [b, c, height, width],
    x.dtype,
    {
      attributes: {
        mode: { string: 'nearest' },
        coordinate_transformation_mode: { string: 'asymmetric' },
        nearest_mode: { string: 'floor' },
      },
      gradient: rule((g) => {
        if (height % h === 0 && width % w === 0) {
          const cells = reshape(g, [b, c, h, height / h, w, width / w]);
          return [reduceSum(cells, [3, 5])];
        }
        // Any other ratio: the transpose of the selection, as two small products.
        return [matmul(matmul(selection(h, height, true), g), selection(w, width, false))];
      }),
    },
  );
}

/** One-hot matrix of which source place each target place reads: [target, source], or its transpose. */
function selection(source: number, target: number, transposed: boolean): Tensor {
  const data = new Float32Array(source * target);
  for (let i = 0; i < target; i++) {
    const j = Math.floor((i * source) / target);
    data[transposed ? j * target + i : i * source + j] = 1;
  }
  return constant(hostTensor(data, transposed ? [source, target] : [target, source]));
}
