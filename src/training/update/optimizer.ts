/**
 * AdamW on flat float32 arrays, as `torch.optim.AdamW` does it (Loshchilov and Hutter 2019, algorithm 2), with the
 * gradient clipping of `torch.nn.utils.clip_grad_norm_`. Element-wise graph operators are slower than these loops on
 * a CPU: eight million parameters take some tens of milliseconds.
 */
import { float32Data, type HostTensor } from '../../graph/host-tensor.ts';
import { formatShape, sameShape } from '../../graph/shape.ts';
import { type AdamWKernel, createAdamWKernel } from './adamw-kernel.ts';
import type { Ema } from './ema.ts';
import type { FlatParameters, Slot } from './flat-parameters.ts';

export interface AdamWOptions {
  /** Decay rates of the two moments. */
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Which parameters decay. Default: matrices and kernels (rank 2 and more), not biases and norms. */
  readonly decays?: (slot: Slot) => boolean;
}

export interface AdamWStep {
  readonly learningRate: number;
  /** Gradients are scaled down to this global L2 norm; undefined leaves them. */
  readonly maxGradientNorm?: number;
  /** Averages that follow the parameters: updated in the same pass over memory. */
  readonly averages?: readonly Ema[];
}

/** Elements per pass: parameters, moments, gradient and averages of one block stay in the processor's cache. */
const BLOCK = 16_384;

export class AdamW {
  readonly options: AdamWOptions;
  /** Exponential moving averages of the gradient and of its square, by parameter. */
  readonly firstMoment: FlatParameters;
  readonly secondMoment: FlatParameters;
  /** Updates made; the bias correction depends on it. */
  updates = 0;
  readonly #parameters: FlatParameters;
  readonly #kernel: AdamWKernel;

  constructor(parameters: FlatParameters, options: AdamWOptions, kernel = createAdamWKernel(BLOCK)) {
    this.#parameters = parameters;
    this.options = options;
    this.firstMoment = parameters.zerosLike();
    this.secondMoment = parameters.zerosLike();
    this.#kernel = kernel;
  }

  /** One update in place. `gradients` holds one float32 tensor per parameter, by the parameter's name. */
  step(gradients: ReadonlyMap<string, HostTensor>, gradientNorm: number, step: AdamWStep): void {
    const { betas, epsilon, weightDecay, decays = isMatrix } = this.options;
    const [beta1, beta2] = betas;
    const { learningRate, maxGradientNorm, averages = [] } = step;
    this.updates += 1;
    const biasCorrection1 = 1 - beta1 ** this.updates;
    const biasCorrection2 = 1 - beta2 ** this.updates;
    const constants = {
      gradientScale: clipCoefficient(gradientNorm, maxGradientNorm),
      beta1,
      beta2,
      stepSize: learningRate / biasCorrection1,
      secondMomentScale: 1 / Math.sqrt(biasCorrection2),
      epsilon,
    };
    const { values } = this.#parameters;
    const first = this.firstMoment.values;
    const second = this.secondMoment.values;
    for (const slot of this.#parameters.slots) {
      const keep = decays(slot) ? 1 - learningRate * weightDecay : 1;
      const gradient = gradientOf(gradients, slot);
      for (let start = 0; start < slot.length; start += BLOCK) {
        const count = Math.min(BLOCK, slot.length - start);
        const from = slot.offset + start;
        const to = from + count;
        this.#kernel(
          values.subarray(from, to),
          gradient.subarray(start, start + count),
          first.subarray(from, to),
          second.subarray(from, to),
          { ...constants, keep },
        );
        for (const average of averages) average.update(values, this.updates, from, to);
      }
    }
  }
}

function gradientOf(gradients: ReadonlyMap<string, HostTensor>, slot: Slot): Float32Array {
  const gradient = gradients.get(slot.name);
  if (!gradient) throw new Error(`no gradient was given for the parameter ${slot.name}`);
  if (!sameShape(gradient.shape, slot.shape)) {
    throw new Error(
      `the gradient of ${slot.name} has the shape ${formatShape(gradient.shape)}, expected ${formatShape(slot.shape)}`,
    );
  }
  return float32Data(gradient);
}

const isMatrix = (slot: Slot) => slot.shape.length >= 2;

/** The global L2 norm over all tensors. NaN and infinity anywhere show in the result. */
export function globalNorm(tensors: Iterable<HostTensor>): number {
  let sum = 0;
  for (const tensor of tensors) sum += sumOfSquares(float32Data(tensor));
  return Math.sqrt(sum);
}

function sumOfSquares(x: Float32Array): number {
  // Four sums, because an addition may not start before the one it depends on has ended.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const whole = x.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    a += x[i]! * x[i]!;
    b += x[i + 1]! * x[i + 1]!;
    c += x[i + 2]! * x[i + 2]!;
    d += x[i + 3]! * x[i + 3]!;
  }
  for (let i = whole; i < x.length; i++) a += x[i]! * x[i]!;
  return a + b + (c + d);
}

/** PyTorch's factor: max / (norm + 1e-6), at most 1. */
function clipCoefficient(norm: number, maxNorm: number | undefined): number {
  return maxNorm === undefined ? 1 : Math.min(1, maxNorm / (norm + 1e-6));
}
