/**
 * Training in Node: `latent-consistency/training`. What `lcm train` and `lcm distill` do: a kind of training makes a
 * configuration of the settings that are given, and `train` trains, or goes on where a run in the folder stopped.
 *
 * ```ts
 * import { createNodeEngine } from 'latent-consistency';
 * import { autoencoderTraining, train } from 'latent-consistency/training';
 *
 * await using engine = createNodeEngine();
 * const config = await autoencoderTraining.configure({ steps: 200, batch: 16 });
 * const { modelDirectory } = await train(autoencoderTraining, config, {
 *   engine,
 *   directory: 'runs/autoencoder',
 *   onProgress: (event) => console.log(event),
 * });
 * ```
 */

export type { OnProgress, TrainingEvent } from './training/events.ts';
export { type AutoencoderRunConfig, autoencoderSettings } from './training/runs/autoencoder-config.ts';
export type { RunConfig } from './training/runs/config.ts';
export { type DiffusionRunConfig, diffusionSettings } from './training/runs/diffusion-config.ts';
export { consistencyTraining } from './training/runs/distill.ts';
export {
  type DistillationRunConfig as ConsistencyRunConfig,
  distillationSettings as consistencySettings,
} from './training/runs/distillation-config.ts';
export { type JudgeRunConfig, judgeSettings } from './training/runs/judge-config.ts';
export { plan, type Recipe, type RecipeKind, train } from './training/runs/recipe.ts';
export type { RunIO, RunPlan, RunResult, Sample, SampleSheet } from './training/runs/run.ts';
export { autoencoderTraining } from './training/runs/train-autoencoder.ts';
export { diffusionTraining } from './training/runs/train-diffusion.ts';
export { judgeTraining } from './training/runs/train-judge.ts';
