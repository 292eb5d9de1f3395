/** UNets and autoencoders against diffusers: outputs, gradients, and the names and shapes of weights. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { grad } from '../../src/graph/gradient.ts';
import { type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import * as ops from '../../src/graph/operators/index.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import type { DeclaredParams } from '../../src/layers/params.ts';
import * as kl from '../../src/models/autoencoder-kl.ts';
import * as tiny from '../../src/models/autoencoder-tiny.ts';
import { diagonalGaussian, klDivergence, reparametrize } from '../../src/models/diagonal-gaussian.ts';
import { unet2DCondition } from '../../src/models/unet-2d-condition.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { withCurrentNames } from '../../src/weights/key-layouts.ts';
import type { Weights } from '../../src/weights/weights.ts';
import { describeGolden, readJson, readTensors } from './golden.ts';
import {
  asWeights,
  expectCloseGradient,
  expectCloseTo,
  expectSameWeights,
  run,
  type Tensors,
  tensorOf,
} from './model-cases.ts';

const engine = createNodeEngine({ threads: 1 });
afterAll(() => engine.dispose());

/** Of the standard deviation of the reference. */
const OUTPUT_TOLERANCE = 1e-4;
/** Of the largest entry of the reference. */
const GRADIENT_TOLERANCE = 1e-3;

interface Case {
  readonly folder: string;
  readonly json: { readonly _class_name: string };
  readonly weights: Weights;
  readonly io: Tensors;
}

const suites: Record<string, (model: Case) => void> = {
  UNet2DConditionModel: testUNet,
  AutoencoderKL: testAutoencoderKL,
  AutoencoderTiny: testAutoencoderTiny,
};

describeGolden('models', (folder) => {
  const seen = new Set<string>();
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    const json = readJson<Case['json']>(path, 'config.json');
    const suite = suites[json._class_name];
    if (!suite) throw new Error(`${path}: no test for the class ${json._class_name}`);
    seen.add(json._class_name);
    const stored = asWeights(readTensors(path, 'diffusion_pytorch_model.safetensors'));
    const weights = withCurrentNames(json._class_name, stored);
    // Autoencoders under old attention names come without outputs of their own: they have those of the 2x one.
    const outputs = existsSync(join(path, 'io.safetensors')) ? path : join(folder, 'vae_kl_2x');
    suite({ folder: path, json, weights, io: readTensors(outputs, 'io.safetensors') });
  }
  it('has cases for every class of model', () =>
    expect([...seen].sort()).toEqual(Object.keys(suites).sort()));
});

function testUNet({ folder, json, weights, io }: Case): void {
  const config = unet2DConditionConfig(json);
  const title = folder.split('/').at(-1)!;
  const prefixes = [...io.keys()].filter((key) => key.endsWith('sample')).map((key) => key.slice(0, -6));

  const values = (prefix: string): Record<string, HostTensor> => {
    const pick: Record<string, HostTensor> = {
      sample: tensorOf(io, `${prefix}sample`),
      timestep: asFloat32(tensorOf(io, `${prefix}timesteps`)),
      encoderHiddenStates: tensorOf(io, `${prefix}encoder_hidden_states`),
    };
    const optional = { timestepCond: 'timestep_cond', textEmbeds: 'text_embeds', timeIds: 'time_ids' };
    for (const [name, key] of Object.entries(optional)) {
      const value = io.get(`${prefix}${key}`);
      if (value) pick[name] = value;
    }
    return pick;
  };
  const forward = (inputs: Record<string, Tensor>, declared: DeclaredParams): Tensor => {
    const { sample, timestep, encoderHiddenStates, timestepCond, textEmbeds, timeIds } = inputs;
    return unet2DCondition(config, declared.params, {
      sample: sample!,
      timestep: timestep!,
      encoderHiddenStates: encoderHiddenStates!,
      timestepCond,
      addedCond: textEmbeds && timeIds && { textEmbeds, timeIds },
    });
  };

  for (const prefix of prefixes) {
    it(`${title}: ${prefix}output`, async () => {
      const given = values(prefix);
      const write = (inputs: Record<string, Tensor>, declared: DeclaredParams) => ({
        output: forward(inputs, declared),
      });
      const { outputs, declared } = await run(engine, weights, given, write);
      expectSameWeights(declared, weights);
      expectCloseTo(outputs.output, tensorOf(io, `${prefix}output`), OUTPUT_TOLERANCE);

      const first = {
        ...given,
        timestep: hostTensor(new Float32Array(2).fill(Number(given.timestep!.data[0])), [2]),
      };
      const same = await run(engine, weights, first, write);
      expectCloseTo(
        same.outputs.output,
        tensorOf(io, `${prefix}output_all_first_timestep`),
        OUTPUT_TOLERANCE,
      );

      if (given.timestepCond) {
        const { timestepCond: _, ...without } = given;
        const plain = await run(engine, weights, without, write);
        const expected = tensorOf(io, `${prefix}output_without_timestep_cond`);
        expectCloseTo(plain.outputs.output, expected, OUTPUT_TOLERANCE);
      }
    });
  }

  const gradients = join(folder, 'gradients.safetensors');
  if (!existsSync(gradients)) return;
  it(`${title}: gradients`, async () => {
    const expected = readTensors(gradients);
    const given = { ...values(''), cotangent: tensorOf(expected, 'cotangent') };
    const { outputs } = await run(engine, weights, given, (inputs: Record<string, Tensor>, declared) => {
      const loss = ops.reduceSum(ops.multiply(forward(inputs, declared), inputs.cotangent!));
      return gradientsOf(loss, declared, 'grad/', {
        sample: inputs.sample!,
        encoder_hidden_states: inputs.encoderHiddenStates!,
        ...(inputs.timestepCond && { timestep_cond: inputs.timestepCond }),
        ...(inputs.textEmbeds && { text_embeds: inputs.textEmbeds }),
      });
    });
    compareGradients(outputs, expected, 'grad/');
  });
}

function testAutoencoderKL({ folder, json, weights, io }: Case): void {
  const config = kl.autoencoderKLConfig(json);
  const title = folder.split('/').at(-1)!;

  for (const prefix of ['', 'odd_']) {
    it(`${title}: ${prefix}pixels to moments, latents and back`, async () => {
      const given = { pixels: tensorOf(io, `${prefix}pixels`), noise: tensorOf(io, `${prefix}eps`) };
      const { outputs, declared } = await run(engine, weights, given, ({ pixels, noise }, { params }) => {
        const moments = kl.encode(config, params, pixels);
        const posterior = diagonalGaussian(moments);
        const z = reparametrize(posterior, noise);
        const decoded = kl.decode(config, params, z);
        return { moments, mode: posterior.mean, z, kl: klDivergence(posterior), decoded };
      });
      expectSameWeights(declared, weights);
      for (const [name, value] of Object.entries(outputs)) {
        expectCloseTo(value, tensorOf(io, `${prefix}${name}`), OUTPUT_TOLERANCE);
      }
    });
  }

  it(`${title}: decodes latents of another size`, async () => {
    const given = { z: tensorOf(io, 'decode_only/z') };
    const { outputs } = await run(engine, weights, given, ({ z }, { params }) => ({
      decoded: kl.decode(config, params, z),
    }));
    expectCloseTo(outputs.decoded, tensorOf(io, 'decode_only/decoded'), OUTPUT_TOLERANCE);
  });

  const gradients = join(folder, 'gradients.safetensors');
  if (!existsSync(gradients)) return;
  it(`${title}: gradients of decoding`, async () => {
    const expected = readTensors(gradients);
    const given = { z: tensorOf(io, 'z'), cotangent: tensorOf(expected, 'decode/cotangent') };
    const { outputs } = await run(engine, weights, given, ({ z, cotangent }, declared) => {
      const loss = ops.reduceSum(ops.multiply(kl.decode(config, declared.params, z), cotangent));
      return gradientsOf(loss, declared, 'decode/grad/', { z });
    });
    compareGradients(outputs, expected, 'decode/grad/');
  });

  it(`${title}: gradients of reconstruction and KL`, async () => {
    const expected = readTensors(gradients);
    const given = { pixels: tensorOf(io, 'pixels'), noise: tensorOf(io, 'eps') };
    const { outputs } = await run(engine, weights, given, ({ pixels, noise }, declared) => {
      const moments = kl.encode(config, declared.params, pixels);
      const posterior = diagonalGaussian(moments);
      const recon = kl.decode(config, declared.params, reparametrize(posterior, noise));
      const l1 = ops.reduceMean(ops.abs(ops.subtract(pixels, recon)));
      const loss = ops.add(l1, ops.multiply(ops.reduceMean(klDivergence(posterior)), 1e-6));
      return { loss, ...gradientsOf(loss, declared, 'kl_loss/grad/', {}) };
    });
    expectCloseGradient(outputs.loss, tensorOf(expected, 'kl_loss/loss'), GRADIENT_TOLERANCE);
    compareGradients(outputs, expected, 'kl_loss/grad/');
  });
}

function testAutoencoderTiny({ folder, json, weights, io }: Case): void {
  const config = tiny.autoencoderTinyConfig(json);
  const title = folder.split('/').at(-1)!;

  it(`${title}: pixels to latents and back`, async () => {
    const given = { pixels: tensorOf(io, 'pixels') };
    const { outputs, declared } = await run(engine, weights, given, ({ pixels }, { params }) => {
      const latents = tiny.encode(config, params, pixels);
      return {
        latents,
        decoded: tiny.decode(config, params, latents),
      };
    });
    expectSameWeights(declared, weights);
    for (const [name, value] of Object.entries(outputs))
      expectCloseTo(value, tensorOf(io, name), OUTPUT_TOLERANCE);
  });

  it(`${title}: other sizes`, async () => {
    const given = { pixels: tensorOf(io, 'odd_pixels'), z: tensorOf(io, 'decode_only/z') };
    const { outputs } = await run(engine, weights, given, ({ pixels, z }, { params }) => ({
      latents: tiny.encode(config, params, pixels),
      decoded: tiny.decode(config, params, z),
    }));
    expectCloseTo(outputs.latents, tensorOf(io, 'odd_latents'), OUTPUT_TOLERANCE);
    expectCloseTo(outputs.decoded, tensorOf(io, 'decode_only/decoded'), OUTPUT_TOLERANCE);
  });
}

/** The gradients of `loss` by the names the references have: `param/<weight>`, and those of `inputs`. */
function gradientsOf(
  loss: Tensor,
  { declarations }: DeclaredParams,
  prefix: string,
  inputs: Record<string, Tensor>,
): Record<string, Tensor> {
  const wanted: [string, Tensor][] = Object.entries(inputs);
  for (const [name, { tensor }] of declarations) wanted.push([`param/${name}`, tensor]);
  const tensors = wanted.map(([, tensor]) => tensor);
  return Object.fromEntries(grad(loss, tensors).map((g, i) => [`${prefix}${wanted[i]![0]}`, g]));
}

function compareGradients(actual: Record<string, HostTensor>, expected: Tensors, prefix: string): void {
  const names = [...expected.keys()].filter((name) => name.startsWith(prefix));
  expect(
    Object.keys(actual)
      .filter((name) => name.startsWith(prefix))
      .sort(),
  ).toEqual(names.sort());
  for (const name of names) {
    // A constant added to every score changes no attention: the true gradient is zero, the reference is rounding.
    if (/(to_k|k_proj)\.bias$/.test(name)) continue;
    expectCloseGradient(actual[name], tensorOf(expected, name), GRADIENT_TOLERANCE);
  }
}

function asFloat32({ data, shape }: HostTensor): HostTensor {
  return hostTensor(Float32Array.from(data, Number), shape);
}
