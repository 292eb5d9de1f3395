/** What a UNet is told beside text and time, against diffusers: residuals of a ControlNet, pictures of an IP-Adapter. */
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import type { DeclaredParams } from '../../src/layers/params.ts';
import { unet2DCondition } from '../../src/models/unet-2d-condition.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { readJson, readTensors } from './golden.ts';
import { asWeights, expectCloseTo, run, tensorOf } from './model-cases.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
const unet = join(fixtures, 'golden/models/unet_sd15_lcm');
const io = readTensors(fixtures, 'unet-conditions/io.safetensors');
const config = unet2DConditionConfig(readJson(unet, 'config.json'));
const weights = asWeights(
  new Map([
    ...readTensors(unet, 'diffusion_pytorch_model.safetensors'),
    ...[...io].flatMap(([name, tensor]) =>
      name.startsWith('weights/') ? [[name.slice('weights/'.length), tensor] as const] : [],
    ),
  ]),
);
const residuals = Array.from({ length: 12 }, (_, i) => `residual_${i}`);
const names = ['sample', 'timesteps', 'states', 'guidance', 'residual_middle', 'ip_states', ...residuals];
const values = Object.fromEntries(names.map((name) => [name, tensorOf(io, name)]));

const engine = createNodeEngine({ threads: 1 });
afterAll(() => engine.dispose());

const usual = (given: Record<string, Tensor>) => ({
  sample: given.sample!,
  timestep: given.timesteps!,
  encoderHiddenStates: given.states!,
  timestepCond: given.guidance!,
});

async function expectPrediction(
  expected: string,
  write: (given: Record<string, Tensor>, declared: DeclaredParams) => Tensor,
): Promise<void> {
  const { outputs } = await run(engine, weights, values, (given, declared) => ({
    prediction: write(given, declared),
  }));
  expectCloseTo(outputs.prediction, tensorOf(io, expected), 1e-4);
}

it('adds residuals to the skip connections and the middle', async () => {
  await expectPrediction('plain', (given, { params }) => unet2DCondition(config, params, usual(given)));
  await expectPrediction('with_residuals', (given, { params }) =>
    unet2DCondition(config, params, {
      ...usual(given),
      residuals: { skips: residuals.map((name) => given[name]!), middle: given.residual_middle! },
    }),
  );
});

it('attends to a second context with keys and values of its own', async () => {
  const further = (states: Tensor, scale: number) => [
    { states, keys: 'processor.to_k_ip.0', values: 'processor.to_v_ip.0', scale },
  ];
  await expectPrediction('with_ip', (given, { params }) =>
    unet2DCondition(config, params, {
      ...usual(given),
      furtherContexts: further(given.ip_states!, 0.7),
    }),
  );
  await expectPrediction('plain', (given, { params }) =>
    unet2DCondition(config, params, { ...usual(given), furtherContexts: further(given.ip_states!, 0) }),
  );
});

it('refuses residuals of another network', async () => {
  const wrong = expectPrediction('plain', (given, { params }) =>
    unet2DCondition(config, params, {
      ...usual(given),
      residuals: { skips: [given.residual_0!], middle: given.residual_middle! },
    }),
  );
  await expect(wrong).rejects.toThrow(/1 residuals for the 12 skip connections/);
});
