/** What the training fixtures share: models of a folder, a step by hand, and how updated weights are compared. */
import { expect } from 'vitest';
import type { Engine } from '../../src/engines/engine.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { float32Data, type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import { program } from '../../src/graph/program.ts';
import type { DeclaredParams } from '../../src/layers/params.ts';
import { type Objective, trainingProgram } from '../../src/training/objectives/objective.ts';
import { FlatParameters } from '../../src/training/update/flat-parameters.ts';
import { AdamW, type AdamWOptions } from '../../src/training/update/optimizer.ts';
import type { Weights } from '../../src/weights/weights.ts';
import { expectClose, floats, readJson } from './golden.ts';

export interface Hyperparameters {
  readonly lr: number;
  readonly ema_decay: number;
  readonly huber_c: number;
  readonly max_grad_norm: number;
  readonly timestep_scaling: number;
  readonly sigma_data: number;
  readonly num_ddim_timesteps: number;
  readonly adam: { readonly betas: [number, number]; readonly eps: number; readonly weight_decay: number };
  readonly lora_rank_alpha: [number, number];
  readonly lora_fixed_w: number;
  readonly w_embedding_dim: number;
}

export interface Steps {
  readonly prediction_type: 'epsilon' | 'v_prediction';
  readonly mode: 'guided' | 'no_teacher' | 'lora';
  readonly loss: 'huber' | 'l2';
  readonly kl_weight: number;
  readonly steps: readonly {
    readonly step: number;
    readonly loss: number;
    readonly grad_norm_before_clip: number;
  }[];
}

export const hyperparameters = (trainingFolder: string) =>
  readJson<Hyperparameters>(trainingFolder, 'hyperparameters.json');

export function parametersFrom(
  declared: DeclaredParams,
  values: ReadonlyMap<string, HostTensor>,
  prefix = '',
): FlatParameters {
  const shapes = new Map([...declared.declarations].map(([name, { shape }]) => [name, shape]));
  const parameters = new FlatParameters(shapes);
  for (const name of shapes.keys()) {
    const value = values.get(`${prefix}${name}`);
    if (!value) throw new Error(`the fixture holds no weight ${prefix}${name}`);
    parameters.set(name, value);
  }
  return parameters;
}

/** The AdamW of all fixtures; PyTorch's default lets every parameter decay. */
export function adamW(
  parameters: FlatParameters,
  { adam }: Hyperparameters,
  averages: AdamWOptions['averages'] = [],
): AdamW {
  const { betas, eps, weight_decay } = adam;
  return new AdamW(parameters, {
    betas,
    epsilon: eps,
    weightDecay: weight_decay,
    averages,
    decays: () => true,
  });
}

/** Compiles an objective with its gradients and its intermediates, and runs it in the test's engine. */
export async function compileStep(
  engine: Engine,
  objective: Objective,
  declared: DeclaredParams,
  weights?: Weights,
) {
  const step = trainingProgram(objective, declared.declarations);
  const outputs = { ...Object.fromEntries(step.outputs), ...objective.intermediates };
  const executable = await engine.compile(program(outputs), { weights, name: 'training step' });
  return async (inputs: Record<string, HostTensor>) => {
    const results = await executable.run(inputs);
    const gradients = new Map(
      [...declared.declarations.keys()].map((name) => [name, results[`grad/${name}`]!] as const),
    );
    return { results, gradients, loss: float32Data(results.loss!)[0]! };
  };
}

export const createTestEngine = () => createNodeEngine({ threads: 1 });

export function expectStep(actual: { loss: number; norm: number }, expected: Steps['steps'][number]): void {
  expect(Math.abs(actual.loss / expected.loss - 1), 'loss').toBeLessThan(1e-5);
  expect(Math.abs(actual.norm / expected.grad_norm_before_clip - 1), 'gradient norm').toBeLessThan(1e-4);
}

/**
 * Weights after some updates: all but one entry in a thousand within 1e-5, the rest within 2 · rate · updates. AdamW
 * moves by about rate · sign(gradient), so where the gradient is rounding noise the direction is, too.
 */
export function expectWeights(
  actual: FlatParameters,
  expected: Map<string, HostTensor>,
  prefix: string,
  { lr, updates, except }: { lr: number; updates: number; except?: RegExp },
): void {
  let compared = 0;
  let off = 0;
  for (const { name } of actual.slots) {
    if (except?.test(name)) continue;
    const values = float32Data(actual.tensor(name));
    const reference = floats(expected, `${prefix}${name}`);
    expectClose(values, reference, 2 * lr * updates);
    values.forEach((value, i) => {
      compared += 1;
      if (Math.abs(value - reference[i]!) > 1e-5) off += 1;
    });
  }
  expect(compared).toBeGreaterThan(0);
  expect(off / compared, `${off} of ${compared} weights differ by more than 1e-5`).toBeLessThan(1e-3);
}

export const scalars = (values: ArrayLike<number>): HostTensor =>
  hostTensor(Float32Array.from(values), [values.length]);

/** One number per sample in the shape that broadcasts over [B, C, h, w]. */
export const perSample = (values: ArrayLike<number>): HostTensor =>
  hostTensor(Float32Array.from(values), [values.length, 1, 1, 1]);
