import { expect, test } from 'vitest';
import { memoryUse } from './memory.ts';
import { add, cast, concat, conv2d, matmul, multiply, relu, reshape } from './operators/index.ts';
import { program } from './program.ts';
import { input, parameter, type Tensor } from './tensor.ts';

const use = (y: Tensor) => memoryUse(program({ y }));

test('weights count in the type that they are computed with, and once', () => {
  const half = cast(parameter('w', [8, 8], 'float16'), 'float32');
  const x = input('x', [4, 8]);
  expect(use(matmul(matmul(x, half), half)).weights).toBe(8 * 8 * 4);
  // A sum of weights, as LoRAs make it, is worked out when the program is loaded.
  const adapted = add(half, matmul(parameter('b', [8, 2]), parameter('a', [2, 8])));
  expect(use(matmul(x, adapted)).weights).toBe(8 * 8 * 4);
});

test('a chain keeps the operands and the result of one operator at a time', () => {
  const weight = (name: string) => parameter(name, [8, 8]);
  const x = input('x', [4, 8]);
  let h: Tensor = x;
  for (let i = 0; i < 5; i++) h = relu(matmul(h, weight(`w${i}`)));
  // x, which the caller holds, and two of the same size.
  expect(use(h).activations).toBe(3 * (4 * 8 * 4));
});

test('what is read later stays alive, and a view is no copy', () => {
  const [x, w] = [input('x', [1, 4, 6, 6]), parameter('w', [4, 4, 3, 3])];
  const conv = (tensor: Tensor) => conv2d(tensor, w, undefined, { padding: 1 });
  const map = 4 * 6 * 6 * 4;
  const skip = conv(x);
  const flat = reshape(skip, [1, 4, 36]);
  const deep = conv(conv(conv(reshape(flat, [1, 4, 6, 6]))));
  // x, the skip connection, operand and result.
  expect(use(add(skip, deep)).activations).toBe(4 * map);
  expect(use(multiply(deep, 2)).activations).toBe(3 * map);
  expect(use(concat([skip, deep], 1)).activations).toBe(4 * map);
});
