import { expect, test } from 'vitest';
import { countFlops } from './flops.ts';
import { grad } from './gradient.ts';
import { attention, conv2d, gemm, matmul, reduceSum, silu } from './operators/index.ts';
import { program } from './program.ts';
import { input, parameter, type Tensor } from './tensor.ts';

const flops = (y: Tensor) => countFlops(program({ y }));

test('a convolution: 2 · B·O·H·W · C/groups·kH·kW', () => {
  const x = input('x', [2, 8, 10, 12]);
  expect(flops(conv2d(x, parameter('w', [16, 8, 3, 3]), undefined, { padding: 1 }))).toBe(
    2 * (2 * 16 * 10 * 12) * (8 * 3 * 3),
  );
  const halved = conv2d(x, parameter('w', [16, 2, 3, 3]), undefined, { padding: 1, stride: 2, groups: 4 });
  expect(flops(halved)).toBe(2 * (2 * 16 * 5 * 6) * (2 * 3 * 3));
});

test('matrix products: 2 · M·K·N for every matrix of the batch', () => {
  expect(flops(matmul(input('a', [5, 1, 3, 4]), input('b', [6, 4, 7])))).toBe(2 * (5 * 6) * (3 * 4 * 7));
  expect(flops(gemm(input('a', [3, 4]), input('b', [7, 4]), undefined, { transposeB: true }))).toBe(
    2 * (3 * 4 * 7),
  );
  expect(flops(gemm(input('a', [4, 3]), input('b', [4, 7]), undefined, { transposeA: true }))).toBe(
    2 * (3 * 4 * 7),
  );
});

test('attention: the same, fused or not', () => {
  for (const length of [16, 512]) {
    const [q, k] = [input('q', [2, length, 24]), input('k', [2, 77, 24])];
    expect(flops(attention(q, k, k, { heads: 3 }))).toBe(2 * 2 * (2 * length * 77 * 24));
  }
});

test('the gradients of a product cost twice the product', () => {
  const [x, w] = [input('x', [32, 64]), parameter('w', [16, 64])];
  const loss = reduceSum(silu(gemm(x, w, undefined, { transposeB: true })));
  const [dx, dw] = grad(loss, [x, w]);
  expect(countFlops(program({ loss, dx: dx!, dw: dw! }))).toBe(3 * 2 * (32 * 64 * 16));
});
