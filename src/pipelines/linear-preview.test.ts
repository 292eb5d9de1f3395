import { expect, it } from 'vitest';
import { autoencoder } from '../components/autoencoder.ts';
import { hostTensor } from '../graph/host-tensor.ts';
import { Generator } from '../random/generator.ts';
import { fitLinearMap, linearImages, publishedMap } from './linear-preview.ts';

const stableDiffusion = {
  block_out_channels: [128, 256, 512, 512],
  down_block_types: new Array(4).fill('DownEncoderBlock2D'),
  up_block_types: new Array(4).fill('UpDecoderBlock2D'),
};

it("knows Stable Diffusion's latents, and no others", () => {
  const mapOf = (config: object) => publishedMap(autoencoder('AutoencoderKL', config));
  const [sd, xl] = [0.18215, 0.13025].map((scaling_factor) => mapOf({ ...stableDiffusion, scaling_factor })!);
  expect(linearImages(sd!, hostTensor(new Float32Array(4), [1, 4, 1, 1]))[0]!.data).toEqual(
    Uint8Array.of(128, 128, 128),
  );
  expect(linearImages(xl!, hostTensor(Float32Array.of(1, 0, 0, 0), [1, 4, 1, 1]))[0]!.data).toEqual(
    Uint8Array.of(210, 200, 190),
  );
  expect(mapOf({ ...stableDiffusion, scaling_factor: 0.5 })).toBeUndefined();
  expect(mapOf({ scaling_factor: 0.18215 })).toBeUndefined();
});

it('finds the map behind pictures that are linear in their latents', () => {
  const [height, width] = [5, 7];
  const plane = height * width;
  const latents = hostTensor(new Generator(3).normal(2 * 4 * plane), [2, 4, height, width]);
  const factors = [
    [0.3, 0.1, 0],
    [0, -0.2, 0.1],
    [0.05, 0.05, 0.2],
    [-0.1, 0, 0.1],
  ];
  const bias = [0.1, -0.2, 0];
  // Pixels of 2 × 2 whose mean is the colour.
  const pixels = new Float32Array(2 * 3 * 4 * plane);
  for (let colour = 0; colour < 3; colour++) {
    for (let i = 0; i < 4 * plane; i++) {
      const [x, y] = [i % (2 * width), Math.floor(i / (2 * width))];
      const at = (y >> 1) * width + (x >> 1);
      const sum = factors.reduce((s, f, c) => s + f[colour]! * Number(latents.data[c * plane + at]), 0);
      pixels[colour * 4 * plane + i] = sum + bias[colour]! + (x % 2 === 0 ? 0.2 : -0.2);
    }
  }
  const map = fitLinearMap(latents, hostTensor(pixels, [2, 3, 2 * height, 2 * width]));
  const found = [...map.factors, map.bias].flat();
  const errors = [...factors, bias].flat().map((value, i) => Math.abs(value - found[i]!));
  expect(Math.max(...errors)).toBeLessThan(1e-5);
  expect(linearImages(map, latents).map(({ width, height }) => [width, height])).toEqual([
    [7, 5],
    [7, 5],
  ]);
});

it('makes do with latents that are all the same', () => {
  const latents = hostTensor(new Float32Array(4 * 4).fill(0.5), [1, 4, 2, 2]);
  const map = fitLinearMap(latents, hostTensor(new Float32Array(3 * 16).fill(0.25), [1, 3, 4, 4]));
  expect([...linearImages(map, latents)[0]!.data]).toEqual(new Array(12).fill(159));
});
