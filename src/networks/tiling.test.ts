import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { autoencoder } from '../components/autoencoder.ts';
import { createNodeEngine } from '../engines/onnxruntime-node/engine.ts';
import { float32Data, type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Shape } from '../graph/shape.ts';
import { Generator } from '../random/generator.ts';
import { openSafetensors } from '../weights/node/safetensors-file.ts';
import type { Weights } from '../weights/weights.ts';
import { decoderNetwork, decoderStatisticsNetwork, tileDecoderNetwork } from './model-networks.ts';
import type { Tensors } from './network.ts';
import { NetworkRunner } from './runner.ts';
import { decodeTiled, shrunk, tileShape } from './tiling.ts';

const normals = (shape: Shape) => hostTensor(new Generator(1).normal(shape.reduce((a, b) => a * b)), shape);

/** Decodes as three of the latents' channels, every latent a square of 2 × 2 pixels. */
async function enlarge(latents: HostTensor): Promise<HostTensor> {
  const [batch, channels, height, width] = latents.shape as [number, number, number, number];
  const pixels = new Float32Array(batch * 3 * 4 * height * width);
  for (let i = 0; i < pixels.length; i++) {
    const [x, y] = [i % (2 * width), Math.floor(i / (2 * width)) % (2 * height)];
    const plane = Math.floor(i / (4 * width * height));
    const from = (Math.floor(plane / 3) * channels + (plane % 3)) * height * width;
    pixels[i] = Number(latents.data[from + (y >> 1) * width + (x >> 1)]);
  }
  return hostTensor(pixels, [batch, 3, 2 * height, 2 * width]);
}

describe('decodeTiled', () => {
  it.each([
    [[1, 4, 8, 8], 8],
    [[2, 4, 20, 13], 8],
    [[1, 3, 9, 40], 9],
    [[1, 3, 11, 11], 10],
    [[1, 3, 6, 33], 8],
  ] as const)('puts every pixel of %j in its place, in tiles of %i', async (shape, tile) => {
    const latents = normals(shape);
    const shapes = new Set<string>();
    const tiled = await decodeTiled(latents, tile, 2, (part) => {
      shapes.add(part.shape.join());
      return enlarge(part);
    });
    const whole = await enlarge(latents);
    expect(tiled.shape).toEqual(whole.shape);
    const difference = float32Data(tiled).map((value, i) => Math.abs(value - float32Data(whole)[i]!));
    expect(Math.max(...difference)).toBeLessThan(1e-6);
    // One program serves all tiles.
    expect([...shapes]).toEqual([tileShape(shape, tile).join()]);
  });

  it('fades from tile to tile', async () => {
    // Each tile has a value of its own, so the result shows the weights.
    let value = 0;
    const flat = async ({ shape }: HostTensor) =>
      hostTensor(new Float32Array(3 * shape[2]! * shape[3]! * 4).fill(value++), [
        1,
        3,
        2 * shape[2]!,
        2 * shape[3]!,
      ]);
    const { data } = await decodeTiled(normals([1, 4, 8, 14]), 8, 2, flat);
    const line = [...(data as Float32Array).subarray(0, 28)];
    expect(line.slice(0, 12)).toEqual(new Array(12).fill(0));
    expect(line.slice(12, 16)).toEqual([0.125, 0.375, 0.625, 0.875]);
    expect(line.slice(16)).toEqual(new Array(12).fill(1));
  });

  it('stops between two tiles when decoding does', async () => {
    let count = 0;
    const stops = (part: HostTensor) => (++count === 3 ? Promise.reject(new Error('enough')) : enlarge(part));
    await expect(decodeTiled(normals([1, 4, 32, 32]), 8, 2, stops)).rejects.toThrow('enough');
    expect(count).toBe(3);
  });
});

describe('an AutoencoderKL in tiles', () => {
  const folder = fileURLToPath(new URL('../../tests/fixtures/golden/models/vae_kl_2x', import.meta.url));
  const engine = createNodeEngine();
  const vae = autoencoder('AutoencoderKL', JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')));
  let weights: Weights;
  beforeAll(async () => {
    weights = (await openSafetensors(`${folder}/diffusion_pytorch_model.safetensors`)).weights;
  });
  afterAll(() => engine.dispose());

  const runner = new NetworkRunner(engine);
  const component = () => ({ location: folder, config: vae, weights });
  const decode = async (latents: HostTensor) =>
    (await runner.call(decoderNetwork(component()), { latents })).pixels!;
  const statisticsOf = (latents: HostTensor) =>
    runner.call(decoderStatisticsNetwork(component())!, { latents });
  const decodeTile = async (latents: HostTensor, statistics: Tensors) =>
    (await runner.call(tileDecoderNetwork(component()), { latents, ...statistics })).pixels!;
  const psnr = (whole: HostTensor, tiled: HostTensor) => {
    const [expected, actual] = [float32Data(whole), float32Data(tiled)];
    const range = Math.max(...expected) - Math.min(...expected);
    const squares = expected.reduce((sum, value, i) => sum + (value - actual[i]!) ** 2, 0);
    return 10 * Math.log10((range ** 2 * expected.length) / squares);
  };

  it('is normalised by statistics that are given as by its own', async () => {
    const latents = normals([1, vae.latentChannels, 8, 8]);
    const own = await decodeTile(latents, await statisticsOf(latents));
    expect(psnr(await decode(latents), own)).toBeGreaterThan(90);
  });

  it('gives nearly the picture of decoding in one piece, and the nearer the larger the tiles', async () => {
    const latents = normals([1, vae.latentChannels, 32, 32]);
    const whole = await decode(latents);
    const tiled = async (tile: number) => {
      const statistics = await statisticsOf(
        shrunk(latents, tileShape([1, vae.latentChannels, 32, 32], tile)),
      );
      return decodeTiled(latents, tile, vae.factor, (part) => decodeTile(part, statistics));
    };
    const [small, large] = [psnr(whole, await tiled(8)), psnr(whole, await tiled(24))];
    expect(small).toBeGreaterThan(25);
    expect(large).toBeGreaterThan(small);
  });

  it('shows no tiles where the picture is flat, as it would without the statistics of the whole', async () => {
    // A sky over ground: most tiles see one of them alone.
    const shape = [1, vae.latentChannels, 32, 32] as const;
    const data = Float32Array.from({ length: vae.latentChannels * 1024 }, (_, i) =>
      i % 1024 < 600 ? Math.sin(Math.floor(i / 1024)) : Math.cos(Math.floor(i / 1024)),
    );
    const latents = hostTensor(data, shape);
    const whole = await decode(latents);
    const statistics = await statisticsOf(shrunk(latents, tileShape([...shape], 16)));
    const tiled = await decodeTiled(latents, 16, vae.factor, (part) => decodeTile(part, statistics));
    const plain = await decodeTiled(latents, 16, vae.factor, decode);
    expect(psnr(whole, tiled)).toBeGreaterThan(psnr(whole, plain) + 2);
  });
});
