/** Consistency steps of every kind that the fixtures of distillation leave out, against PyTorch's numbers. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { lcmBoundary, type SolverName, solverNamed } from '../../src/diffusion/affine.ts';
import { noiseSchedule, stableDiffusionSchedule } from '../../src/diffusion/noise-schedule.ts';
import { skippingGrid } from '../../src/diffusion/skipping-grid.ts';
import { float32Data, hostTensor } from '../../src/graph/host-tensor.ts';
import { input } from '../../src/graph/tensor.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import type { ConsistencyDistance, ConsistencyDraw } from '../../src/training/objectives/consistency.ts';
import { Leaves } from '../../src/training/objectives/leaves.ts';
import { scheduleLevels } from '../../src/training/objectives/sigma-pairs.ts';
import { gridPair, middleTimestep, type TimePair } from '../../src/training/objectives/time-pairs.ts';
import { consistencyStep, TARGET } from '../../src/training/runs/consistency-step.ts';
import { Ema } from '../../src/training/update/ema.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
import { asWeights } from './model-cases.ts';
import {
  adamW,
  compileStep,
  createTestEngine,
  expectStep,
  hyperparameters,
  parametersFrom,
} from './training-steps.ts';

interface Case {
  readonly student: string;
  readonly distance: ConsistencyDistance['kind'];
  readonly c: number | null;
  readonly target: 'average' | 'student';
  readonly solver?: SolverName;
  readonly substeps?: number;
  readonly steps: readonly {
    readonly step: number;
    readonly loss: number;
    readonly grad_norm_before_clip: number;
    readonly sample_loss: readonly number[];
    /** On the grid, or σ and timesteps of the noisier and the other level. */
    readonly indices?: readonly number[];
    readonly sigmas?: readonly (readonly [number, number])[];
    readonly timesteps?: readonly (readonly [number, number])[];
  }[];
}

describeGolden('objectives', (folder) => {
  const cases = readJson<Record<string, Case>>(folder, 'consistency.json');
  const updated = readTensors(folder, 'consistency.safetensors');
  const training = join(folder, '../training');
  const settings = hyperparameters(training);
  const schedule = noiseSchedule(stableDiffusionSchedule);
  const grid = skippingGrid(settings.num_ddim_timesteps, schedule.length);
  const levels = scheduleLevels(schedule);

  it.each(Object.entries(cases))('%s: loss, gradients and weights', async (name, fixture) => {
    const { solver, substeps = 1, distance: kind, c, target, steps } = fixture;
    const teacherFolder = join(training, 'models/teacher_epsilon');
    const studentFolder = join(training, 'models', fixture.student);
    const weightsOf = (path: string) => readTensors(path, 'diffusion_pytorch_model.safetensors');
    const configOf = (path: string) => unet2DConditionConfig(readJson(path, 'config.json'));
    // What was drawn is that of a distillation's fixture.
    const drawnAt = (step: number) =>
      readTensors(training, 'guided_epsilon_huber', `step${step}.safetensors`);
    const [states, shape] = ['prompt_embeds', 'latents'].map((key) => drawnAt(1).get(key)!.shape) as [
      number[],
      number[],
    ];
    const leaves = new Leaves<ConsistencyDraw>(shape[0]!);
    const { objective, trained, frozen } = consistencyStep(
      {
        student: configOf(studentFolder),
        base: {
          config: configOf(teacherFolder),
          weights: asWeights(weightsOf(teacherFolder)),
          location: teacherFolder,
        },
        lora: null,
        ownTarget: target === 'student',
        solver: solver && { solver: solverNamed(solver, middleTimestep(schedule)), substeps },
      },
      {
        states: input('states', states),
        unconditional: { states: input('unconditional_states', [1, states[1]!, states[2]!]) },
      },
      {
        shape,
        predictionType: 'epsilon',
        boundary: lcmBoundary(settings.timestep_scaling, settings.sigma_data),
        distance: kind === 'l1' || kind === 'l2' ? { kind } : { kind, c: c! },
      },
      leaves,
    );
    const parameters = parametersFrom(trained, weightsOf(studentFolder));
    const average = new Ema(parameters, settings.ema_decay);
    const optimizer = adamW(parameters, settings, [average]);
    const engine = createTestEngine();
    const run = await compileStep(engine, objective, trained, frozen);

    for (const expected of steps) {
      const tensors = drawnAt(expected.step);
      const pairs = expected.sigmas
        ? expected.sigmas.map(
            ([from, to]): TimePair => ({
              start: levels.at(from),
              end: levels.at(to),
              between: [],
              weight: 1 / (from - to),
              pureNoise: false,
              group: '',
            }),
          )
        : expected.indices!.map((index) => gridPair(schedule, grid, { index, substeps }));
      expected.timesteps?.forEach(([start, end], i) => {
        expect(pairs[i]!.start.t).toBeCloseTo(start, 1);
        expect(pairs[i]!.end.t).toBeCloseTo(end, 1);
      });
      const unconditional = float32Data(tensors.get('uncond_prompt_embeds')!);
      const step = await run({
        ...parameters.tensors(),
        ...(target === 'average' && average.parameters.tensors(TARGET)),
        ...(solver && {
          unconditional_states: hostTensor(unconditional.slice(0, states[1]! * states[2]!), [
            1,
            ...states.slice(1),
          ]),
        }),
        ...leaves.inputs({
          pairs,
          latents: tensors.get('latents')!,
          noise: tensors.get('noise')!,
          guidance: Array.from(floats(tensors, 'w')),
        }),
        states: tensors.get('prompt_embeds')!,
      });
      const norm = await optimizer.gather([step.gradients]);
      expectStep({ ...step, norm }, expected);
      expectClose(float32Data(step.results.sample_loss!), expected.sample_loss, 2e-5, 'relative');
      if (expected.step === 1) {
        const gradient = float32Data(step.gradients.get('conv_in.weight')!);
        expectClose(gradient, floats(updated, `${name}/gradient/conv_in.weight`), 2e-4, 'relative');
      }
      await optimizer.apply({
        learningRate: settings.lr,
        maxGradientNorm: settings.max_grad_norm,
      });
    }
    for (const layer of ['conv_in', 'conv_norm_out']) {
      const after = floats(updated, `${name}/after/${layer}.weight`);
      expectClose(float32Data(parameters.tensor(`${layer}.weight`)), after, 1e-5);
    }
    await engine.dispose();
  });
});
