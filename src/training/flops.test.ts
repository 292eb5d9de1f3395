import { expect, it } from 'vitest';
import { conv2d, matmul, reshape } from '../graph/operators/index.ts';
import { program } from '../graph/program.ts';
import { input } from '../graph/tensor.ts';
import { countFlops } from './flops.ts';

it('counts multiplications and additions of convolutions and products', () => {
  const image = conv2d(input('x', [2, 3, 8, 8]), input('w', [5, 3, 3, 3]), undefined, { padding: 1 });
  const product = matmul(reshape(image, [10, 64]), input('m', [64, 7]));
  expect(countFlops(program({ product }))).toBe(2 * (2 * 5 * 8 * 8) * (3 * 3 * 3) + 2 * 10 * 7 * 64);
});
