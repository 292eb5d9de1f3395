/** Plain diffusion training steps against PyTorch's numbers. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { noiseSchedule, stableDiffusionSchedule } from '../../src/diffusion/noise-schedule.ts';
import { float32Data } from '../../src/graph/host-tensor.ts';
import { input } from '../../src/graph/tensor.ts';
import { DeclaredParams } from '../../src/layers/params.ts';
import { unet2DCondition } from '../../src/models/unet-2d-condition.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { diffusionLoss } from '../../src/training/objectives/diffusion.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
import {
  adamW,
  compileStep,
  createTestEngine,
  expectStep,
  expectWeights,
  hyperparameters,
  parametersFrom,
  perSample,
  type Steps,
  scalars,
} from './training-steps.ts';

describeGolden('training', (folder) => {
  const cases = readdirSync(folder).filter((name) => name.startsWith('ldm_'));
  if (cases.length === 0) it.skip('has no folder ldm_*: nothing was compared', () => {});

  it.each(cases)('%s: loss, gradients and weights of every step', async (name) => {
    const settings = hyperparameters(folder);
    const { steps, prediction_type } = readJson<Steps>(folder, name, 'steps.json');
    const model = join(folder, 'models', `teacher_${prediction_type}`);
    const config = unet2DConditionConfig(readJson(model, 'config.json'));
    const first = readTensors(folder, name, 'step1.safetensors');
    const shape = first.get('latents')!.shape;
    const batch = shape[0]!;
    const declared = new DeclaredParams();
    const objective = diffusionLoss(
      (sample, timestep, encoderHiddenStates) =>
        unet2DCondition(config, declared.params, { sample, timestep, encoderHiddenStates }),
      prediction_type,
      {
        latents: input('latents', shape),
        noise: input('noise', shape),
        timesteps: input('timesteps', [batch]),
        alpha: input('alpha', [batch, 1, 1, 1]),
        sigma: input('sigma', [batch, 1, 1, 1]),
        weights: input('weights', [batch]),
        states: input('states', first.get('prompt_embeds')!.shape),
      },
    );
    const parameters = parametersFrom(declared, readTensors(model, 'diffusion_pytorch_model.safetensors'));
    const optimizer = adamW(parameters, settings);
    const schedule = noiseSchedule(stableDiffusionSchedule);
    const engine = createTestEngine();
    const run = await compileStep(engine, objective, declared);

    for (const expected of steps) {
      const tensors = readTensors(folder, name, `step${expected.step}.safetensors`);
      const timesteps = Array.from(tensors.get('timesteps')!.data, Number);
      const step = await run({
        ...parameters.tensors(),
        latents: tensors.get('latents')!,
        noise: tensors.get('noise')!,
        timesteps: scalars(timesteps),
        alpha: perSample(timesteps.map((t) => schedule.alphas[t]!)),
        sigma: perSample(timesteps.map((t) => schedule.sigmas[t]!)),
        weights: scalars(timesteps.map(() => 1)),
        states: tensors.get('prompt_embeds')!,
      });
      const norm = await optimizer.gather([step.gradients]);
      expectStep({ ...step, norm }, expected);
      for (const [output, key] of [
        ['noised', 'z_t'],
        ['target', 'target'],
        ['prediction', 'output'],
      ] as const) {
        expectClose(float32Data(step.results[output]!), floats(tensors, key), 1e-4, 'relative');
      }
      await optimizer.apply({
        learningRate: settings.lr,
        maxGradientNorm: settings.max_grad_norm,
      });
    }
    const after = readTensors(folder, name, `weights_after_step${steps.length}.safetensors`);
    expectWeights(parameters, after, 'student/', { lr: settings.lr, updates: steps.length });
    expect(steps.length).toBeGreaterThan(0);
    await engine.dispose();
  });
});
