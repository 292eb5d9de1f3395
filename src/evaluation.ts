/**
 * Measuring models of postcards, in Node: `latent-consistency/evaluation`. What `lcm evaluate` does: a judge says what it
 * sees in the pictures, which is compared with their captions, and how near its features come to those of real ones.
 *
 * ```ts
 * import { createNodeEngine, loadPipeline, openModel } from 'latent-consistency';
 * import { Autoencoding, createContext, evaluate, openJudge } from 'latent-consistency/evaluation';
 *
 * await using pipeline = await loadPipeline();
 * await using engine = createNodeEngine();
 * const { rows } = await evaluate({
 *   pipeline,
 *   autoencoder: await Autoencoding.open(engine, await openModel(pipeline.info.location)),
 *   judge: await openJudge(engine),
 *   canvas: createContext(128, 128),
 *   count: 512,
 * });
 * console.log(rows);
 * ```
 */

// What is measured, and with what.

export { Autoencoding } from './evaluation/autoencoding.ts';
export {
  contactSheet,
  type Evaluation,
  type EvaluationOptions,
  type EvaluationProgress,
  type EvaluationRow,
  evaluate,
  type Sampling,
} from './evaluation/evaluate.ts';
export type { Answers, Fidelity } from './evaluation/fidelity.ts';
export { type FeatureStatistics, featureStatistics, frechetDistance } from './evaluation/frechet.ts';
export type { JudgeConfig } from './evaluation/judge.ts';
export { type Judged, Judging } from './evaluation/judging.ts';
export { openJudge } from './evaluation/node/judge-files.ts';
export { markdownReport } from './evaluation/report.ts';

// The data set that the captions are of.

export { createContext } from './datasets/node/canvas.ts';
export type { Canvas2D, Gradient } from './datasets/postcards/canvas2d.ts';
export type { LABEL_HEADS, LabelHead } from './datasets/postcards/labels.ts';

// The types that these mention of `latent-consistency/web`.

export type * from './web.ts';
