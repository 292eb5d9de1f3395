/**
 * An autoencoder with another level around it, so that its latents stand for twice as many pixels along each side:
 * growing, as Karras et al. 2017 (section 2) grow the networks that draw. It begins as the smaller one on pictures of half
 * the size, with pixels doubled, and learns the details that these lack; its latents mean from the first step on what the
 * smaller one's mean, and so does a diffusion model of them.
 */
import type { StoredAutoencoder } from '../../components/model-files.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { type AutoencoderKLConfig, autoencoderKLConfig } from '../../models/autoencoder-kl.ts';
import { bytesOf } from '../../weights/safetensors.ts';
import type { Weight, Weights } from '../../weights/weights.ts';

export interface GrownAutoencoder {
  readonly config: AutoencoderKLConfig;
  /** All but those that `startsAtRandom`. */
  readonly weights: Weights;
  /** The new residual blocks, which add nothing at first, take the rest of their weights from chance. */
  startsAtRandom(name: string): boolean;
}

export function grownAutoencoder({ config: json, weights }: StoredAutoencoder): GrownAutoencoder {
  const smaller = autoencoderKLConfig(json);
  const [width] = smaller.block_out_channels as [number];
  const config: AutoencoderKLConfig = {
    ...smaller,
    block_out_channels: [width, ...smaller.block_out_channels],
    down_block_types: ['DownEncoderBlock2D', ...smaller.down_block_types],
    up_block_types: [...smaller.up_block_types, 'UpDecoderBlock2D'],
    sample_size: doubled(smaller.sample_size),
  };
  const last = smaller.block_out_channels.length;
  const grown = new Map([...weights].map(([name, weight]) => [oneLevelFurtherIn(name), weight]));
  const set = (layer: string, kernel: HostTensor) => {
    grown.set(`${layer}.weight`, weightOf(kernel));
    grown.set(`${layer}.bias`, weightOf(hostTensor(new Float32Array(width), [width])));
  };
  const down = 'encoder.down_blocks.0';
  const up = `decoder.up_blocks.${last}`;
  for (let i = 0; i < config.layers_per_block; i++)
    set(
      `${down}.resnets.${i}.conv2`,
      kernel(width, () => 0),
    );
  for (let i = 0; i <= config.layers_per_block; i++)
    set(
      `${up}.resnets.${i}.conv2`,
      kernel(width, () => 0),
    );
  // The mean of each 2×2 pixels: the kernel begins at the pixel itself. Then nothing but the pixel in its middle.
  set(
    `${down}.downsamplers.0.conv`,
    kernel(width, (y, x) => (y < 2 && x < 2 ? 1 / 4 : 0)),
  );
  set(
    `decoder.up_blocks.${last - 1}.upsamplers.0.conv`,
    kernel(width, (y, x) => (y === 1 && x === 1 ? 1 : 0)),
  );
  return {
    config,
    weights: grown,
    startsAtRandom: (name) =>
      [down, up].some((block) => name.startsWith(`${block}.resnets.`)) &&
      /\.(norm1|conv1|norm2)\./.test(name),
  };
}

/** Levels are counted from the pixels on the way down, and from the latents on the way up. */
function oneLevelFurtherIn(name: string): string {
  return name.replace(
    /^(encoder\.down_blocks\.)(\d+)/,
    (_, blocks, level) => `${blocks}${Number(level) + 1}`,
  );
}

function doubled(size: AutoencoderKLConfig['sample_size']): AutoencoderKLConfig['sample_size'] {
  return typeof size === 'number' ? 2 * size : [2 * size[0], 2 * size[1]];
}

/** A 3×3 convolution that treats every channel alike and for itself, [width, width, 3, 3]. */
function kernel(width: number, value: (y: number, x: number) => number): HostTensor {
  const data = new Float32Array(width * width * 9);
  for (let channel = 0; channel < width; channel++) {
    for (let i = 0; i < 9; i++) data[(channel * width + channel) * 9 + i] = value(Math.floor(i / 3), i % 3);
  }
  return hostTensor(data, [width, width, 3, 3]);
}

function weightOf(tensor: HostTensor): Weight {
  return { dtype: 'float32', shape: tensor.shape, storage: { kind: 'bytes', bytes: bytesOf(tensor) } };
}
