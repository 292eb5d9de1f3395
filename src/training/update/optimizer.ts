/**
 * AdamW on flat float32 arrays, as `torch.optim.AdamW` does it (Loshchilov and Hutter 2019, algorithm 2), with the
 * gradient clipping of `torch.nn.utils.clip_grad_norm_`. Element-wise graph operators are slower than loops over
 * arrays on a CPU.
 *
 * An update has two parts, because a gradient is clipped by the norm of the whole of it: `gather`, then `apply`.
 */
import { float32Data, type HostTensor } from '../../graph/host-tensor.ts';
import { formatShape, sameShape } from '../../graph/shape.ts';
import type { Ema } from './ema.ts';
import type { FlatParameters, Slot } from './flat-parameters.ts';
import { type Span, type UpdateArrays, type UpdateNumbers, UpdatePart } from './update-part.ts';
import { UpdateThreads } from './update-threads.ts';

export interface AdamWOptions {
  /** Decay rates of the two moments. */
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Which parameters decay. Default: matrices and kernels (rank 2 and more), not biases and norms. */
  readonly decays?: (slot: Slot) => boolean;
  /** Averages that follow the parameters: updated in the same pass over memory. */
  readonly averages?: readonly Ema[];
  /** Threads that share every update, however many there are with the same result. Default 1, the caller's own. */
  readonly threads?: number;
}

export interface AdamWStep {
  readonly learningRate: number;
  /** Gradients are scaled down to this global L2 norm; undefined leaves them. */
  readonly maxGradientNorm?: number | undefined;
}

export class AdamW {
  /** Exponential moving averages of the gradient and of its square, by parameter. */
  readonly firstMoment: FlatParameters;
  readonly secondMoment: FlatParameters;
  /** Updates made; the bias correction depends on it. */
  updates = 0;
  readonly #options: AdamWOptions;
  readonly #parameters: FlatParameters;
  readonly #arrays: UpdateArrays;
  readonly #spans: readonly Span[];
  /** What does the work, once there is any. */
  #worker: Promise<UpdateThreads> | UpdatePart | undefined;
  /** L2 norm of the gradient that was gathered. */
  #norm: number | undefined;

  constructor(parameters: FlatParameters, options: AdamWOptions) {
    const { decays = isMatrix, averages = [] } = options;
    this.#parameters = parameters;
    this.#options = options;
    this.firstMoment = parameters.zerosLike();
    this.secondMoment = parameters.zerosLike();
    this.#arrays = {
      parameters: parameters.values,
      gradient: parameters.zerosLike().values,
      firstMoment: this.firstMoment.values,
      secondMoment: this.secondMoment.values,
      averages: averages.map((average) => average.parameters.values),
    };
    this.#spans = parameters.slots.map((slot) => ({
      offset: slot.offset,
      length: slot.length,
      decays: decays(slot),
    }));
  }

  /**
   * Takes the gradients that each of some engines computed, one float32 tensor for each parameter under its name, for
   * their mean to be applied. Their memory is handed over. Returns the global L2 norm of the mean; NaN and infinity
   * anywhere show in it.
   */
  async gather(shares: readonly ReadonlyMap<string, HostTensor>[]): Promise<number> {
    const gradients = shares.map((share) => this.#parameters.slots.map((slot) => gradientOf(share, slot)));
    const squares = await (await this.#open()).gather(gradients);
    this.#norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
    return this.#norm;
  }

  /** One update, in place, by the gradient that was gathered. */
  async apply({ learningRate, maxGradientNorm }: AdamWStep): Promise<void> {
    if (this.#norm === undefined) throw new Error('there is no gradient to be applied');
    const { betas, epsilon, weightDecay, averages = [] } = this.#options;
    const [beta1, beta2] = betas;
    this.updates += 1;
    const numbers: UpdateNumbers = {
      gradientScale: clipCoefficient(this.#norm, maxGradientNorm),
      keep: 1 - learningRate * weightDecay,
      beta1,
      beta2,
      stepSize: learningRate / (1 - beta1 ** this.updates),
      secondMomentScale: 1 / Math.sqrt(1 - beta2 ** this.updates),
      epsilon,
      averageDecays: averages.map((average) => average.decayAt(this.updates)),
    };
    this.#norm = undefined;
    await (await this.#open()).apply(numbers);
  }

  /** Ends the threads, if there are any. */
  async dispose(): Promise<void> {
    const worker = await this.#worker;
    if (worker instanceof UpdateThreads) await worker.close();
  }

  #open(): Promise<UpdateThreads> | UpdatePart {
    const { threads = 1 } = this.#options;
    this.#worker ??=
      threads > 1
        ? UpdateThreads.open(this.#arrays, this.#spans, threads)
        : new UpdatePart(this.#arrays, this.#spans);
    return this.#worker;
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

/** PyTorch's factor: max / (norm + 1e-6), at most 1. */
function clipCoefficient(norm: number, maxNorm: number | undefined): number {
  return maxNorm === undefined ? 1 : Math.min(1, maxNorm / (norm + 1e-6));
}
