/** Latent consistency steps (distillation, consistency training, LCM-LoRA) against PyTorch's numbers. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ddim, lcmBoundary } from '../../src/diffusion/affine.ts';
import { noiseSchedule, stableDiffusionSchedule } from '../../src/diffusion/noise-schedule.ts';
import { skippingGrid } from '../../src/diffusion/skipping-grid.ts';
import { float32Data, hostTensor } from '../../src/graph/host-tensor.ts';
import { input } from '../../src/graph/tensor.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import type { ConsistencyDraw } from '../../src/training/objectives/consistency.ts';
import { Leaves } from '../../src/training/objectives/leaves.ts';
import { gridPair } from '../../src/training/objectives/time-pairs.ts';
import { consistencyStep, TARGET } from '../../src/training/runs/consistency-step.ts';
import { Ema } from '../../src/training/update/ema.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
import { asWeights } from './model-cases.ts';
import {
  adamW,
  compileStep,
  createTestEngine,
  expectStep,
  expectWeights,
  hyperparameters,
  parametersFrom,
  type Steps,
} from './training-steps.ts';

/** Names of the intermediates here and in the fixtures. */
const INTERMEDIATES = [
  ['noised', 'z_t'],
  ['previous', 'x_prev'],
  ['prediction', 'model_pred'],
  ['goal', 'target'],
] as const;

describeGolden('training', (folder) => {
  const cases = readdirSync(folder).filter((name) => /^(guided|no_teacher|lora)_/.test(name));
  if (cases.length === 0) it.skip('has no consistency steps: nothing was compared', () => {});

  it.each(cases)('%s: loss, gradients and weights of every step', async (name) => {
    const settings = hyperparameters(folder);
    const { steps, mode, prediction_type, loss } = readJson<Steps>(folder, name, 'steps.json');
    const modelFolder = (which: string) => join(folder, 'models', `${which}_${prediction_type}`);
    const studentFolder = modelFolder(
      { guided: 'student', no_teacher: 'student_plain', lora: 'teacher' }[mode],
    );
    const teacherFolder = modelFolder('teacher');
    const weightsOf = (path: string) => readTensors(path, 'diffusion_pytorch_model.safetensors');

    const first = readTensors(folder, name, 'step1.safetensors');
    const states = first.get('prompt_embeds')!.shape;
    const { shape } = first.get('latents')!;
    const [rank, alpha] = settings.lora_rank_alpha;
    const configOf = (path: string) => unet2DConditionConfig(readJson(path, 'config.json'));
    const leaves = new Leaves<ConsistencyDraw>(shape[0]!);
    const { objective, trained, frozen } = consistencyStep(
      {
        student: configOf(studentFolder),
        base: {
          config: configOf(teacherFolder),
          weights: asWeights(weightsOf(teacherFolder)),
          location: teacherFolder,
        },
        lora: mode === 'lora' ? { rank, alpha } : null,
        ownTarget: mode === 'lora',
        solver: mode === 'no_teacher' ? undefined : { solver: ddim, substeps: 1 },
      },
      {
        states: input('states', states),
        unconditional: { states: input('unconditional_states', [1, states[1]!, states[2]!]) },
      },
      {
        shape,
        predictionType: prediction_type,
        boundary: lcmBoundary(settings.timestep_scaling, settings.sigma_data),
        distance: loss === 'huber' ? { kind: 'huber', c: settings.huber_c } : { kind: 'l2' },
      },
      leaves,
    );

    const parameters =
      mode === 'lora'
        ? parametersFrom(trained, readTensors(folder, name, 'initial.safetensors'), 'lora/')
        : parametersFrom(trained, weightsOf(studentFolder));
    const average = new Ema(parameters, settings.ema_decay);
    const optimizer = adamW(parameters, settings, [average]);
    const schedule = noiseSchedule(stableDiffusionSchedule);
    const grid = skippingGrid(settings.num_ddim_timesteps, schedule.length);
    const engine = createTestEngine();
    const run = await compileStep(engine, objective, trained, frozen);

    for (const expected of steps) {
      const tensors = readTensors(folder, name, `step${expected.step}.safetensors`);
      const indices = Array.from(tensors.get('index')!.data, Number);
      const w = tensors.has('w')
        ? Array.from(floats(tensors, 'w'))
        : indices.map(() => settings.lora_fixed_w);
      const unconditional = tensors.get('uncond_prompt_embeds');
      const step = await run({
        ...parameters.tensors(),
        ...(mode !== 'lora' && average.parameters.tensors(TARGET)),
        ...(unconditional && {
          unconditional_states: hostTensor(float32Data(unconditional).slice(0, states[1]! * states[2]!), [
            1,
            ...states.slice(1),
          ]),
        }),
        ...leaves.inputs({
          pairs: indices.map((index) => gridPair(schedule, grid, { index })),
          latents: tensors.get('latents')!,
          noise: tensors.get('noise')!,
          guidance: w,
        }),
        states: tensors.get('prompt_embeds')!,
      });
      const norm = await optimizer.gather([step.gradients]);
      expectStep({ ...step, norm }, expected);
      for (const [output, key] of INTERMEDIATES) {
        expectClose(float32Data(step.results[output]!), floats(tensors, key), 1e-4, 'relative');
      }
      await optimizer.apply({
        learningRate: settings.lr,
        maxGradientNorm: settings.max_grad_norm,
      });
    }
    const after = readTensors(folder, name, `weights_after_step${steps.length}.safetensors`);
    const bound = { lr: settings.lr, updates: steps.length };
    expectWeights(parameters, after, mode === 'lora' ? 'lora/' : 'student/', bound);
    if (mode !== 'lora') expectWeights(average.parameters, after, 'ema/', bound);
    expect(steps.length).toBeGreaterThan(0);
    await engine.dispose();
  });
});
