/**
 * What a prediction type, a boundary scaling and a step of a solver do to a noised sample and the network's output
 * there is always the same: a·x + b·output. The two numbers of each sample are worked out here, on the host and in
 * float64, so that neither a loss nor a training step asks what a network predicts.
 */
import { boundaryScalings } from './consistency.ts';
import { consistencyScalings, denoiserScalings } from './karras.ts';
import type { PredictionType } from './prediction.ts';

/** A level of noise: x = α x_0 + σ ε. */
export interface Level {
  /** What the network is told, as a rule the timestep. */
  readonly t: number;
  readonly alpha: number;
  readonly sigma: number;
}

/** sample · x + Σ outputs[i] · output of pass i. One network pass gives one output. */
export interface Affine {
  readonly sample: number;
  readonly outputs: readonly number[];
}

/** x̂_0 from x and the output. Throws RangeError for an ε-prediction at α = 0, which says nothing about x_0. */
export function originalOf(type: PredictionType, { t, alpha, sigma }: Level): Affine {
  switch (type) {
    case 'epsilon':
      if (alpha === 0) throw new RangeError(`an ε-prediction at t = ${t}, where α is 0, has no clean sample`);
      return { sample: 1 / alpha, outputs: [-sigma / alpha] };
    case 'v_prediction':
      return { sample: alpha, outputs: [-sigma] };
    case 'sample':
      return { sample: 0, outputs: [1] };
  }
}

/** ε̂ from x and the output. Throws RangeError for a prediction of x_0 at σ = 0, which says nothing about ε. */
export function noiseOf(type: PredictionType, { t, alpha, sigma }: Level): Affine {
  switch (type) {
    case 'epsilon':
      return { sample: 0, outputs: [1] };
    case 'v_prediction':
      return { sample: sigma, outputs: [alpha] };
    case 'sample':
      if (sigma === 0) throw new RangeError(`a prediction of x_0 at t = ${t}, where σ is 0, has no noise`);
      return { sample: 1 / sigma, outputs: [-alpha / sigma] };
  }
}

/** How a consistency function keeps to its boundary condition: f(x, t) = skip · x + out · x̂_0. */
export type Boundary = (at: Level) => { readonly skip: number; readonly out: number };

/** That of latent consistency models (Luo et al. 2023, section 4.1): f(x, 0) = x, whatever the network says. */
export function lcmBoundary(timestepScaling = 10, sigmaData = 0.5): Boundary {
  return ({ t }) => {
    const { cSkip, cOut } = boundaryScalings(t, timestepScaling, sigmaData);
    return { skip: cSkip, out: cOut };
  };
}

/**
 * That of Song et al. 2023 (appendix C): f = c_skip x̃ + c_out F, where F is what the network says in Karras et al.'s
 * form of x̂_0 and x̃ = x/α; here told of x̂_0, so that it serves networks of any prediction. f(x, σ) = x̃ from σ_min
 * down to clean data.
 */
export function karrasBoundary(sigmaMin: number, sigmaData: number): Boundary {
  return ({ alpha, sigma }) => {
    const level = sigma / alpha;
    if (level <= sigmaMin) return { skip: 1 / alpha, out: 0 };
    const denoiser = denoiserScalings(level, sigmaData);
    const consistency = consistencyScalings(level, sigmaMin, sigmaData);
    const out = consistency.cOut / denoiser.cOut;
    return { skip: (consistency.cSkip - out * denoiser.cSkip) / alpha, out };
  };
}

/** f(x, t) (Luo et al. 2023, equation 9). */
export function consistencyOf(type: PredictionType, boundary: Boundary, at: Level): Affine {
  const { skip, out } = boundary(at);
  return sum({ sample: skip, outputs: [] }, scaled(out, originalOf(type, at)));
}

/**
 * A step of a solver of the probability flow from one level to another. Each pass of the network sees, at its own
 * level, the sum of x and the outputs before that `input` says; `result` is x at the end.
 */
export interface SolverStep {
  readonly passes: readonly { readonly at: Level; readonly input: Affine }[];
  readonly result: Affine;
}

/** How the flow is solved between two levels, the first the noisier one. */
export interface Solver {
  /** Network passes of every step. */
  readonly passes: number;
  step(type: PredictionType, from: Level, to: Level): SolverStep;
}

/** x itself, which the first pass sees. */
const SAMPLE: Affine = { sample: 1, outputs: [] };

/**
 * One pass (Song et al. 2020, equation 12 with σ = 0): x_s = α_s x̂_0 + σ_s ε̂. It is Euler's method on x/α over σ/α,
 * the coordinates of Karras et al. 2022.
 */
export const ddim: Solver = {
  passes: 1,
  step: (type, from, to) => ({
    passes: [{ at: from, input: SAMPLE }],
    result: ddimResult(type, from, to),
  }),
};

/**
 * Two passes (Karras et al. 2022, algorithm 1, on x/α over σ/α): a DDIM step, then the step again with the mean of the
 * noises at both ends. At σ = 0, where there is no noise to be seen, it is the DDIM step, as there.
 */
export const heun: Solver = {
  passes: 2,
  step(type, from, to) {
    const euler = ddimResult(type, from, to);
    const passes = [
      { at: from, input: SAMPLE },
      { at: to, input: euler },
    ];
    if (to.sigma === 0) return { passes, result: { ...euler, outputs: [...euler.outputs, 0] } };
    const there = noiseOf(type, to);
    const second = sum(scaled(there.sample, euler), { sample: 0, outputs: [0, there.outputs[0]!] });
    const noise = sum(scaled(0.5, noiseOf(type, from)), scaled(0.5, second));
    const distance = to.sigma / to.alpha - from.sigma / from.alpha;
    const start = { sample: to.alpha / from.alpha, outputs: [] };
    return { passes, result: sum(start, scaled(to.alpha * distance, noise)) };
  },
};

/** A level between two, and none where there is nothing between them. */
export type Between = (from: Level, to: Level) => Level | undefined;

/**
 * DPM-Solver++ of second order, two passes (Lu et al. 2022b, algorithm 1): to a level in between, then the whole way
 * towards x̂_0 of both, extrapolated over λ = ln(α/σ). The DDIM step where λ is infinite at an end, or nothing lies
 * between.
 */
export function dpmSolver2(between: Between): Solver {
  return {
    passes: 2,
    step(type, from, to) {
      const middle = from.alpha > 0 && to.sigma > 0 ? between(from, to) : undefined;
      const first = ddimResult(type, from, to);
      if (middle === undefined) {
        const passes = [
          { at: from, input: SAMPLE },
          { at: to, input: first },
        ];
        return { passes, result: { ...first, outputs: [...first.outputs, 0] } };
      }
      const input = ddimResult(type, from, middle);
      const start = logSnr(from);
      const share = (logSnr(middle) - start) / (logSnr(to) - start);
      const there = originalOf(type, middle);
      const second = sum(scaled(there.sample, input), { sample: 0, outputs: [0, there.outputs[0]!] });
      const newest = 1 / (2 * share);
      const original = sum(scaled(1 - newest, originalOf(type, from)), scaled(newest, second));
      const kept = to.sigma / from.sigma;
      return {
        passes: [
          { at: from, input: SAMPLE },
          { at: middle, input },
        ],
        result: sum({ sample: kept, outputs: [] }, scaled(to.alpha - kept * from.alpha, original)),
      };
    },
  };
}

/** Names of solvers; `euler` is `ddim`. */
export const solverNames = ['ddim', 'euler', 'heun', 'dpm++'] as const;
export type SolverName = (typeof solverNames)[number];

export function solverNamed(name: SolverName, between: Between): Solver {
  switch (name) {
    case 'ddim':
    case 'euler':
      return ddim;
    case 'heun':
      return heun;
    case 'dpm++':
      return dpmSolver2(between);
  }
}

/** λ, half the logarithm of the signal-to-noise ratio. */
export function logSnr({ alpha, sigma }: Level): number {
  return Math.log(alpha / sigma);
}

function ddimResult(type: PredictionType, from: Level, to: Level): Affine {
  return sum(scaled(to.alpha, originalOf(type, from)), scaled(to.sigma, noiseOf(type, from)));
}

function scaled(factor: number, { sample, outputs }: Affine): Affine {
  return { sample: factor * sample, outputs: outputs.map((output) => factor * output) };
}

function sum(a: Affine, b: Affine): Affine {
  const passes = Math.max(a.outputs.length, b.outputs.length);
  return {
    sample: a.sample + b.sample,
    outputs: Array.from({ length: passes }, (_, i) => (a.outputs[i] ?? 0) + (b.outputs[i] ?? 0)),
  };
}
