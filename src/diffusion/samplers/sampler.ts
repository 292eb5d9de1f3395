/** What every sampler is: a list of timesteps and the way from one to the next, over plain arrays. */

export interface SamplerStep {
  /** The latents at the next timestep. */
  readonly sample: Float32Array;
  /** x̂_0, the clean latents as the network sees them at this step. */
  readonly denoised: Float32Array;
}

/**
 * One run of a sampler. Arrays hold a batch of latents, [B, C, H, W]; a run begins with noise times
 * `initNoiseSigma`, or with `addNoise` at a later step, and then takes the steps i, i + 1, … in order:
 * multistep solvers keep a history inside, so every run needs a sampler of its own.
 */
export interface Sampler {
  /** What the network is told at each step, descending; PNDM asks twice about some. Not always integers. */
  readonly timesteps: readonly number[];
  /** Standard deviation of the noise that a run begins with. */
  readonly initNoiseSigma: number;
  /** Passes of the network for a step of the schedule, diffusers' `order`: image to image leaves out whole steps. */
  readonly passesPerStep: number;
  /** Clean latents with as much noise as step `i` expects: where image-to-image begins. */
  addNoise(original: Float32Array, noise: Float32Array, i: number): Float32Array;
  /** The sample as the network expects it at step `i`. */
  scaleModelInput(sample: Float32Array, i: number): Float32Array;
  /**
   * From the network's output at step `i` to the next sample.
   * @param noise draws standard normals for the whole batch; called only by steps that need them
   */
  step(modelOutput: Float32Array, i: number, sample: Float32Array, noise: () => Float32Array): SamplerStep;
}

/** A sampler that also tells its noise levels: one per step and the one at which the last step ends. */
export interface SigmaSampler extends Sampler {
  readonly sigmas: Float32Array;
}

/**
 * The step at which image-to-image begins in the pipelines that build the full schedule and drop its head
 * (StableDiffusionImg2ImgPipeline.get_timesteps). strength 1 begins at step 0.
 */
export function startStep(steps: number, strength: number): number {
  return Math.max(steps - Math.min(Math.trunc(steps * strength), steps), 0);
}
