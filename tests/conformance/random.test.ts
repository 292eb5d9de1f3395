/** Draws of the generator against PyTorch's. */
import { describe, expect, it } from 'vitest';
import { bfloat16ToFloat32, float16ToFloat32 } from '../../src/graph/float16.ts';
import { elementCount, type Shape } from '../../src/graph/shape.ts';
import { Generator } from '../../src/random/generator.ts';
import { randnTensor } from '../../src/random/randn-tensor.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';

interface RngFixture {
  seeds: string[];
  chains: Record<string, Shape[]>;
  randn_tensor_shape: Shape;
  int32_random_31_bits: Record<string, number[]>;
}

/** Long draws go through PyTorch's vector log, sin and cos; short ones round a float64 result. */
const longDraw = 1e-6;
const shortDraw = 2 ** -23;

describeGolden('rng', (folder) => {
  const { seeds, chains, randn_tensor_shape, int32_random_31_bits } = readJson<RngFixture>(
    folder,
    'rng.json',
  );
  const generator = (seed: string) => new Generator(BigInt(seed));

  describe('first draw of normals', () => {
    const tensors = readTensors(folder, 'randn.safetensors');
    it('has cases', () => expect(tensors.size).toBeGreaterThan(0));
    it.each([...tensors.keys()])('%s', (name) => {
      const [, seed] = name.split('/');
      const expected = floats(tensors, name);
      const actual = generator(seed!).normal(expected.length);
      expectClose(actual, expected, expected.length < 16 ? shortDraw : longDraw);
    });
  });

  it.each(Object.entries(int32_random_31_bits))('words of seed %s', (seed, expected) => {
    const g = generator(seed);
    expect(expected.map(() => g.uint32() & 0x7fffffff)).toEqual(expected);
  });

  describe('sequences', () => {
    const tensors = readTensors(folder, 'sequences.safetensors');
    const names = [...tensors.keys()];
    const integers = (name: string) => Array.from(tensors.get(name)!.data as BigInt64Array, Number);

    describe.each(Object.entries(chains))('%s', (chain, shapes) => {
      const chainSeeds = seeds.filter((seed) => tensors.has(`${chain}/${seed}/0`));
      it('has cases', () => expect(chainSeeds.length).toBeGreaterThan(0));
      it.each(chainSeeds)('seed %s', (seed) => {
        const g = generator(seed);
        shapes.forEach((shape, i) => {
          const length = elementCount(shape);
          const tolerance = length < 16 ? shortDraw : longDraw;
          expectClose(g.normal(length), floats(tensors, `${chain}/${seed}/${i}`), tolerance);
        });
      });
    });

    const kinds: Record<string, (g: Generator, name: string, length: number, high: number) => void> = {
      randint: (g, name, length, high) => expect([...g.randint(high, length)]).toEqual(integers(name)),
      randperm: (g, name, length) => expect([...g.randperm(length)]).toEqual(integers(name)),
      rand: (g, name, length) => expect(g.uniform(length)).toEqual(floats(tensors, name)),
      rand64: (g, name, length) => expect(g.uniform64(length)).toEqual(floats(tensors, name)),
      double: (g, name, length) => expectClose(g.normal64(length), floats(tensors, name), 1e-14),
      half: (g, name, length) => {
        const expected = float16ToFloat32(tensors.get(name)!.data as Uint16Array);
        expectClose(float16ToFloat32(g.normalFloat16(length)), expected, 2 ** -11, 'relative');
      },
      bfloat16: (g, name, length) => {
        const expected = bfloat16ToFloat32(tensors.get(name)!.data as Uint16Array);
        expectClose(bfloat16ToFloat32(g.normalBfloat16(length)), expected, 2 ** -8, 'relative');
      },
    };
    const pattern = /^(randperm|rand64|rand|double|half|bfloat16|randint(?=\d))(\d*)\/(\d+)\/(\d+)$/;
    const single = names.filter((name) => pattern.test(name));
    it('covers every kind of draw', () => {
      expect(new Set(single.map((name) => pattern.exec(name)![1]))).toEqual(new Set(Object.keys(kinds)));
    });
    it.each(single)('%s', (name) => {
      const [, kind, high, seed, length] = pattern.exec(name)!;
      kinds[kind!]!(generator(seed!), name, Number(length), Number(high));
    });

    it('mixed kinds from one generator', () => {
      const g = generator(seeds[0]!);
      expectClose(g.normal(5), floats(tensors, 'mixed/randn5'), shortDraw);
      expect(g.uniform(3)).toEqual(floats(tensors, 'mixed/rand3'));
      expect([...g.randint(50, 4)]).toEqual(integers('mixed/randint4'));
      expectClose(g.normal(6), floats(tensors, 'mixed/randn_last'), shortDraw);
    });
  });

  describe('randn_tensor', () => {
    const tensors = readTensors(folder, 'randn_tensor.safetensors');
    const batch = randn_tensor_shape[0]!;
    it('one generator per image, two draws', () => {
      const generators = seeds.slice(0, batch).map(generator);
      expectClose(randnTensor(randn_tensor_shape, generators), floats(tensors, 'list/first'), longDraw);
      expectClose(randnTensor(randn_tensor_shape, generators), floats(tensors, 'list/second'), longDraw);
    });
    it('one generator for the batch', () => {
      const g = generator(seeds[0]!);
      expectClose(randnTensor(randn_tensor_shape, g), floats(tensors, 'single/first'), longDraw);
    });
  });
});
