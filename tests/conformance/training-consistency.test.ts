/** Latent consistency steps (distillation, consistency training, LCM-LoRA) against PyTorch's numbers. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ddim, lcmBoundary } from '../../src/diffusion/affine.ts';
import { guidanceScaleEmbedding } from '../../src/diffusion/guidance-embedding.ts';
import { noiseSchedule, stableDiffusionSchedule } from '../../src/diffusion/noise-schedule.ts';
import { skippingGrid } from '../../src/diffusion/skipping-grid.ts';
import { float32Data, type HostTensor } from '../../src/graph/host-tensor.ts';
import { input } from '../../src/graph/tensor.ts';
import { DeclaredParams, type Params } from '../../src/layers/params.ts';
import { unet2DCondition } from '../../src/models/unet-2d-condition.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { Ema } from '../../src/training/ema.ts';
import { Leaves } from '../../src/training/leaves.ts';
import { loraParams } from '../../src/training/lora-parameters.ts';
import {
  type ConsistencyDraw,
  type ConsistencyModels,
  consistencyLoss,
} from '../../src/training/objectives/consistency.ts';
import type { Denoiser } from '../../src/training/objectives/diffusion.ts';
import { gridPair } from '../../src/training/time-pairs.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
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
    const leaves = new Leaves<ConsistencyDraw>(shape[0]!);
    const network = (path: string, params: Params): Denoiser => {
      const config = unet2DConditionConfig(readJson(path, 'config.json'));
      return (sample, timestep, encoderHiddenStates, timestepCond) =>
        unet2DCondition(config, params, { sample, timestep, encoderHiddenStates, timestepCond });
    };

    // The networks, and the weights that are fed beside the trained ones.
    const teacherParams = new DeclaredParams('teacher/');
    const teacher = mode === 'no_teacher' ? undefined : network(teacherFolder, teacherParams.params);
    const student = new DeclaredParams();
    const target = new DeclaredParams('target/');
    const [rank, alpha] = settings.lora_rank_alpha;
    const lora = loraParams(student.params, new DeclaredParams('base/').params, { rank, alpha });
    const studentModel = network(studentFolder, mode === 'lora' ? lora.params : student.params);
    const models: ConsistencyModels = {
      student: studentModel,
      target: mode === 'lora' ? studentModel : network(studentFolder, target.params),
      teacher: teacher && {
        model: teacher,
        unconditionalStates: input('unconditional_states', [1, states[1]!, states[2]!]),
        solver: ddim,
        substeps: 1,
      },
    };
    const width = settings.w_embedding_dim;
    const objective = consistencyLoss(
      models,
      {
        states: input('states', states),
        guidanceEmbedding: mode === 'guided' ? input('guidance_embedding', [shape[0]!, width]) : undefined,
      },
      {
        shape,
        predictionType: prediction_type,
        boundary: lcmBoundary(settings.timestep_scaling, settings.sigma_data),
        distance: loss === 'huber' ? { kind: 'huber', c: settings.huber_c } : { kind: 'l2' },
      },
      leaves,
    );

    const prefix = (values: Map<string, HostTensor>, by: string) =>
      Object.fromEntries([...values].map(([key, value]) => [`${by}${key}`, value]));
    const parameters =
      mode === 'lora'
        ? parametersFrom(student, readTensors(folder, name, 'initial.safetensors'), 'lora/')
        : parametersFrom(student, weightsOf(studentFolder));
    const average = new Ema(parameters, settings.ema_decay);
    const optimizer = adamW(parameters, settings);
    const schedule = noiseSchedule(stableDiffusionSchedule);
    const grid = skippingGrid(settings.num_ddim_timesteps, schedule.length);
    const engine = createTestEngine();
    const run = await compileStep(engine, objective, student);

    for (const expected of steps) {
      const tensors = readTensors(folder, name, `step${expected.step}.safetensors`);
      const indices = Array.from(tensors.get('index')!.data, Number);
      const w = tensors.has('w')
        ? Array.from(floats(tensors, 'w'))
        : indices.map(() => settings.lora_fixed_w);
      const unconditional = tensors.get('uncond_prompt_embeds');
      const step = await run({
        ...parameters.tensors(),
        ...(mode === 'lora'
          ? prefix(weightsOf(teacherFolder), 'base/')
          : average.parameters.tensors('target/')),
        ...(teacher && {
          ...prefix(weightsOf(teacherFolder), 'teacher/'),
          unconditional_states: {
            dtype: 'float32' as const,
            shape: [1, ...states.slice(1)],
            data: float32Data(unconditional!).slice(0, states[1]! * states[2]!),
          },
        }),
        ...leaves.inputs({
          pairs: indices.map((index) => gridPair(schedule, grid, { index })),
          latents: tensors.get('latents')!,
          noise: tensors.get('noise')!,
          guidance: w,
        }),
        ...(mode === 'guided' && {
          guidance_embedding: {
            dtype: 'float32',
            shape: [w.length, settings.w_embedding_dim],
            data: guidanceScaleEmbedding(w, settings.w_embedding_dim),
          },
        }),
        states: tensors.get('prompt_embeds')!,
      });
      expectStep(step, expected);
      for (const [output, key] of INTERMEDIATES) {
        expectClose(float32Data(step.results[output]!), floats(tensors, key), 1e-4, 'relative');
      }
      optimizer.step(step.gradients, step.norm, {
        learningRate: settings.lr,
        maxGradientNorm: settings.max_grad_norm,
        averages: [average],
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
