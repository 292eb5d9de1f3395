/**
 * Networks that the product does not have, by adding this file only: a denoiser that is no UNet, in a whole pipeline;
 * and a ControlNet, whose residuals a UNet takes.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  attention,
  type Component,
  type Components,
  conv2d,
  DeclaredParams,
  type Denoiser,
  float32Data,
  type HostTensor,
  hostTensor,
  input,
  linear,
  loadComponents,
  type Network,
  NetworkRunner,
  op,
  pipelineOf,
  sinusoid,
  timestepEmbedding,
  toFeatureMap,
  toSequence,
  type UNet2DConditionConfig,
  unet2DConditionConfig,
  unetConditioning,
  unetEncoder,
  type Weights,
  weightsOf,
} from '../../src/graph.ts';
import { createNodeEngine, Generator, openModel } from '../../src/index.ts';
import { initialize } from '../../src/training.ts';

const folder = fileURLToPath(new URL('../fixtures/golden/pipelines/sd/model', import.meta.url));
const engine = createNodeEngine({ threads: 1 });
afterAll(() => engine.dispose());

let model: Components;
let unetConfig: UNet2DConditionConfig;
beforeAll(async () => {
  const files = await openModel(folder);
  model = await loadComponents(files);
  unetConfig = unet2DConditionConfig((await files.network('unet')).config);
});

/** Random weights for whatever was declared. */
function randomWeights(declared: DeclaredParams): Weights {
  const { declarations } = declared;
  return weightsOf(new Map(Object.entries(initialize(declarations, new Generator(3)).tensors())));
}

/** A transformer over patches of latents, with the text in its sequence (after Peebles and Xie 2022). */
function patchTransformer({
  latentChannels,
  contextWidth,
}: Pick<Denoiser, 'latentChannels' | 'contextWidth'>): Denoiser {
  const [width, heads, patch] = [32, 2, 2];
  return {
    className: 'PatchTransformer',
    latentChannels,
    furtherChannels: 0,
    guidanceWidth: undefined,
    sampleSize: { height: 8, width: 8 },
    contextWidth,
    added: undefined,
    predict(p, { sample, time, states }) {
      const [, , height, columns] = sample.shape as [number, number, number, number];
      const patches = toSequence(
        conv2d(p.in('patches'), sample, width, { kernel: patch, stride: patch, padding: 0 }),
      );
      const waves = sinusoid(time, width, { flipSinToCos: true, frequencyShift: 0 });
      const temb = timestepEmbedding(p.in('time'), waves, width, { activation: 'silu' });
      let h = op.add(patches, op.reshape(temb, [temb.shape[0]!, 1, width]));
      const context = op.concat([h, linear(p.in('text'), states, width)], 1);
      h = op.add(h, attention(p.in('attention'), h, context, { heads }));
      h = op.add(h, linear(p.in('out'), op.silu(linear(p.in('in'), h, 2 * width)), width));
      const small = toFeatureMap(h, height / patch, columns / patch);
      return conv2d(p.in('latents'), op.resizeNearest(small, [height, columns]), latentChannels);
    },
  };
}

it('a denoiser that is no UNet draws in the usual pipeline', async () => {
  const config = patchTransformer(model.unet.config);
  const declared = new DeclaredParams();
  config.predict(declared.params, {
    sample: input('sample', [1, config.latentChannels, 8, 8]),
    time: input('time', [1]),
    states: input('states', [1, 77, config.contextWidth]),
  });
  const unet: Component<Denoiser> = { location: 'here', config, weights: randomWeights(declared) };
  const pipeline = pipelineOf({ ...model, unet }, createNodeEngine({ threads: 1 }), {});
  const { images } = await pipeline.generate({ prompt: 'a fox', steps: 3, seed: 1, scheduler: 'ddim' });
  const { images: other } = await pipeline.generate({
    prompt: 'a dog',
    steps: 3,
    seed: 1,
    scheduler: 'ddim',
  });
  expect([images[0]!.width, images[0]!.height]).toEqual([64, 64]);
  expect(images[0]!.data).not.toEqual(other[0]!.data);
  await pipeline.dispose();
});

describe('a ControlNet', () => {
  /** The encoder half of the UNet behind a picture of what is wanted (Zhang et al. 2023, figure 3). */
  const controlNet = (weights: Weights): Network => ({
    role: 'control',
    name: 'ControlNet',
    component: { location: 'here', weights },
    write(p, { sample, timesteps, states, picture }) {
      const block = unetConditioning(unetConfig, p, { timestep: timesteps!, encoderHiddenStates: states! });
      const first = unetConfig.block_out_channels[0]!;
      const start = op.add(
        conv2d(p.in('conv_in'), sample!, first),
        conv2d(p.in('picture'), picture!, first, { stride: 8 }),
      );
      const { skips, middle } = unetEncoder(p, block, start);
      const zero = (name: string, x: typeof middle) => conv2d(p.in(name), x, x.shape[1]!, { kernel: 1 });
      return {
        ...Object.fromEntries(
          skips.map((skip, i) => [`skip_${i}`, zero(`controlnet_down_blocks.${i}`, skip)]),
        ),
        middle: zero('controlnet_mid_block', middle),
      };
    },
  });
  const steered: (model: Components, count: number) => Network = ({ unet }, count) => ({
    role: 'denoiser',
    name: 'steered UNet',
    component: unet,
    write: (p, inputs) => ({
      prediction: unet.config.predict(p, {
        sample: inputs.sample!,
        time: inputs.timesteps!,
        states: inputs.states!,
        residuals: {
          skips: Array.from({ length: count }, (_, i) => inputs[`skip_${i}`]!),
          middle: inputs.middle!,
        },
      }),
    }),
  });

  it('is called with values, and its residuals change what the UNet predicts', async () => {
    const noise = (shape: readonly number[], seed: number) =>
      hostTensor(new Generator(seed).normal(shape.reduce((a, b) => a * b)), shape);
    const told = {
      sample: noise([1, model.unet.config.latentChannels, 8, 8], 1),
      timesteps: hostTensor(Float32Array.of(500), [1]),
      states: noise([1, 7, model.unet.config.contextWidth], 2),
    };
    const declared = new DeclaredParams();
    const leaves = Object.fromEntries(
      Object.entries({ ...told, picture: noise([1, 3, 64, 64], 3) }).map(([name, { shape }]) => [
        name,
        input(name, shape),
      ]),
    );
    controlNet(new Map()).write(declared.params, leaves);
    const control = controlNet(randomWeights(declared));
    const runner = new NetworkRunner(engine);
    const predictions: HostTensor[] = [];
    for (const seed of [3, 4]) {
      const residuals = await runner.call(control, { ...told, picture: noise([1, 3, 64, 64], seed) });
      const count = Object.keys(residuals).length - 1;
      const { prediction } = await runner.call(steered(model, count), { ...told, ...residuals });
      predictions.push(prediction!);
    }
    const [a, b] = predictions.map(float32Data) as [Float32Array, Float32Array];
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeGreaterThan(1e-4);
    await runner.dispose(new Error('done'));
  });
});
