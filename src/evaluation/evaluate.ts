/**
 * Measures a model of postcards: how well its pictures follow their captions, and how near they come to real ones.
 * Real pictures and reconstructions go through the same judge, so that every row has its ceiling beside it.
 */

import { pictureSize } from '../components/components.ts';
import { createSampler, type SchedulerName } from '../components/scheduler.ts';
import { squareSide } from '../components/size.ts';
import type { Canvas2D } from '../datasets/postcards/canvas2d.ts';
import type { Postcard } from '../datasets/postcards/postcards.ts';
import { InputError } from '../errors.ts';
import { float32Data, hostTensor } from '../graph/host-tensor.ts';
import { grid } from '../images/grid.ts';
import { type Image, imageToTensor, tensorToImage } from '../images/image.ts';
import type { Pipeline } from '../pipelines/pipeline.ts';
import type { TextToImageRequest } from '../pipelines/settings.ts';
import type { Autoencoding } from './autoencoding.ts';
import { type Fidelity, fidelity } from './fidelity.ts';
import { type FeatureStatistics, featureStatistics, frechetDistance } from './frechet.ts';
import type { Judging } from './judging.ts';
import { mean } from './mean.ts';
import { gradientMagnitude, psnr } from './picture-measures.ts';
import {
  CONSISTENCY_STEPS,
  drawCards,
  PROTOCOL_GUIDANCE_SCALE,
  protocolCards,
  REFERENCE_VARIANTS,
  SHEET,
  seedOf,
  TEACHER_STEPS,
} from './protocol.ts';

/** How the pictures of a row were drawn. */
export interface Sampling {
  readonly scheduler: SchedulerName;
  readonly steps: number;
  readonly guidanceScale: number;
  /** Passes of the UNet per picture: those of the sampler, twice as many with classifier-free guidance. */
  readonly passes: number;
}

/** What was measured of one kind of pictures. */
export interface EvaluationRow {
  readonly kind: 'real' | 'reconstruction' | 'teacher' | 'model';
  /** For tables: `LCM, 4 steps`. */
  readonly name: string;
  /** Absent for pictures that no sampler drew. */
  readonly sampling?: Sampling;
  readonly fidelity: Fidelity;
  /** The same for captions like those of the training, and for held-out combinations. */
  readonly seen: Fidelity;
  readonly heldOut: Fidelity;
  /** In the judge's features, against other drawings of the same records. Depends on the number of pictures. */
  readonly frechetDistance: number;
  /** Mean gradient magnitude, relative to that of the real pictures. */
  readonly sharpness: number;
  /** Reconstructions only: mean over pictures of the 8-bit PSNR in dB. */
  readonly psnr?: number;
  /** Time to make the row's pictures. */
  readonly seconds: number;
}

/** How good a model is: see docs/evaluation.md. */
export interface Evaluation {
  /** Captions, half of them seen and half held out. */
  readonly count: number;
  /** Real pictures that the Fréchet distances are taken against. */
  readonly references: number;
  readonly rows: readonly EvaluationRow[];
}

/** What is measured, with what. */
export interface EvaluationOptions {
  readonly pipeline: Pipeline;
  /** The diffusion model that the pipeline's was distilled from; without it there is no such row. */
  readonly teacher?: Pipeline | undefined;
  /** Of the pipeline's model. */
  readonly autoencoder: Pick<Autoencoding, 'reconstruct'>;
  readonly judge: Pick<Judging, 'config' | 'judge'>;
  /** Where real postcards are drawn, at least as large as the judge's pictures. */
  readonly canvas: Canvas2D;
  /** One row each. Default 1, 2, 4 and 8 for consistency models, else 50. */
  readonly steps?: readonly number[] | undefined;
  /** For the model and its teacher. Default: the model's own, else 3. */
  readonly guidanceScale?: number | undefined;
  /** Default 512. */
  readonly count?: number | undefined;
  /** Pictures drawn at a time. Default 32. */
  readonly batch?: number | undefined;
  readonly onProgress?: ((progress: EvaluationProgress) => void) | undefined;
  /** Gets each row as soon as it is measured. */
  readonly onRow?: ((row: EvaluationRow, pictures: readonly Image[]) => Promise<void>) | undefined;
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Ends the evaluation at once. */
  readonly signal?: AbortSignal | undefined;
}

/** Pictures made so far for one row, or of the references. */
export interface EvaluationProgress {
  readonly row: string;
  readonly done: number;
  readonly total: number;
}

/** Throws InputError for models of other pictures than postcards, UsageError for steps that the model cannot take. */
export async function evaluate(options: EvaluationOptions): Promise<Evaluation> {
  const { pipeline, teacher, judge, signal } = options;
  const size = judge.config.sample_size;
  for (const { model } of teacher ? [pipeline, teacher] : [pipeline]) requireSize(model, size);
  const cards = protocolCards(options.count, size);
  const real = drawCards(options.canvas, cards);
  const plans = rowPlans(cards, real, options);
  const references = await referenceStatistics(cards, options);
  const realGradient = mean(real.map(gradientMagnitude));
  const rows: EvaluationRow[] = [];
  for (const { kind, name, sampling, make } of plans) {
    const start = performance.now();
    const pictures = await make((done) => options.onProgress?.({ row: name, done, total: cards.length }));
    const seconds = (performance.now() - start) / 1000;
    const { answers, features } = await judge.judge(toTensor(pictures), { signal });
    const part = (from: number, to: number): Fidelity =>
      fidelity(
        cards.slice(from, to).map(({ record }) => record),
        answers.slice(from, to),
      );
    const row: EvaluationRow = {
      kind,
      name,
      ...(sampling && { sampling }),
      fidelity: part(0, cards.length),
      seen: part(0, cards.length / 2),
      heldOut: part(cards.length / 2, cards.length),
      frechetDistance: frechetDistance(featureStatistics(features, judge.config.feature_dim), references),
      sharpness: mean(pictures.map(gradientMagnitude)) / realGradient,
      ...(kind === 'reconstruction' && { psnr: mean(pictures.map((picture, i) => psnr(picture, real[i]!))) }),
      seconds,
    };
    rows.push(row);
    await options.onRow?.(row, pictures);
  }
  return { count: cards.length, references: cards.length * REFERENCE_VARIANTS.length, rows };
}

/** The first pictures of a row: 24 seen, then 16 held out, 8 in a line, every pixel 2×2. */
export function contactSheet(pictures: readonly Image[]): Image {
  const half = pictures.length / 2;
  const chosen = [
    ...pictures.slice(0, Math.min(half, SHEET.seen)),
    ...pictures.slice(half, half + SHEET.heldOut),
  ];
  return grid(chosen, { columns: Math.min(SHEET.columns, chosen.length), scale: 2 });
}

interface RowPlan extends Pick<EvaluationRow, 'kind' | 'name' | 'sampling'> {
  readonly make: (onPicture: (done: number) => void) => Promise<Image[]>;
}

function rowPlans(cards: readonly Postcard[], real: Image[], options: EvaluationOptions): RowPlan[] {
  const { pipeline, teacher } = options;
  const guidanceScale =
    options.guidanceScale ?? pipeline.model.defaults.guidanceScale ?? PROTOCOL_GUIDANCE_SCALE;
  const sampled = (
    kind: 'teacher' | 'model',
    from: Pipeline,
    scheduler: SchedulerName,
    steps: number,
  ): RowPlan => {
    // Steps that the model cannot take are refused now, not after the rows before.
    const { timesteps } = createSampler(scheduler, from.model.scheduler.config, { steps, batchSize: 1 });
    const embedded = from.model.unet.config.guidanceWidth !== undefined;
    const passes = !embedded && guidanceScale > 1 ? 2 * timesteps.length : timesteps.length;
    const counted = `${steps} step${steps === 1 ? '' : 's'}`;
    return {
      kind,
      name: `${kind === 'teacher' ? 'teacher, ' : ''}${scheduler.toUpperCase()}, ${counted}`,
      sampling: { scheduler, steps, guidanceScale, passes },
      make: (onPicture) => drawCaptions(from, cards, { scheduler, steps, guidanceScale }, options, onPicture),
    };
  };
  const scheduler = pipeline.model.scheduler.name ?? 'ddim';
  const consistency = scheduler === 'lcm' || scheduler === 'tcd';
  const steps = options.steps ?? (consistency ? CONSISTENCY_STEPS : [TEACHER_STEPS]);
  return [
    { kind: 'real', name: 'real', make: async () => real },
    {
      kind: 'reconstruction',
      name: 'reconstruction',
      make: (onPicture) => reconstruct(real, options, onPicture),
    },
    ...(teacher ? [sampled('teacher', teacher, 'ddim', TEACHER_STEPS)] : []),
    ...steps.map((count) => sampled('model', pipeline, scheduler, count)),
  ];
}

/** Pictures of the cards' captions; the noise of picture i depends on i alone. */
async function drawCaptions(
  pipeline: Pipeline,
  cards: readonly Postcard[],
  request: Omit<TextToImageRequest, 'prompt'>,
  { batch = DEFAULT_BATCH, onWarning, signal }: EvaluationOptions,
  onPicture: (done: number) => void,
): Promise<Image[]> {
  const pictures: Image[] = [];
  while (pictures.length < cards.length) {
    const start = pictures.length;
    const part = cards.slice(start, start + batch);
    const { images } = await pipeline.generate({
      ...request,
      prompt: part.map(({ caption }) => caption),
      seed: part.map((_, i) => seedOf(start + i)),
      onWarning,
      signal,
    });
    pictures.push(...images);
    onPicture(pictures.length);
  }
  return pictures;
}

async function reconstruct(
  real: readonly Image[],
  { autoencoder, batch = DEFAULT_BATCH, signal }: EvaluationOptions,
  onPicture: (done: number) => void,
): Promise<Image[]> {
  const pictures: Image[] = [];
  while (pictures.length < real.length) {
    const part = real.slice(pictures.length, pictures.length + batch);
    const { width, height } = part[0]!;
    const pixels = hostTensor(toTensor(part), [part.length, 3, height, width]);
    const reconstructed = float32Data(await autoencoder.reconstruct(pixels, { signal }));
    pictures.push(...part.map((_, i) => tensorToImage(reconstructed, width, height, i)));
    onPicture(pictures.length);
  }
  return pictures;
}

/** Features of other drawings of the same records. */
async function referenceStatistics(
  cards: readonly Postcard[],
  { judge, canvas, onProgress, signal }: EvaluationOptions,
): Promise<FeatureStatistics> {
  const { feature_dim: dimensions } = judge.config;
  const features = new Float32Array(REFERENCE_VARIANTS.length * cards.length * dimensions);
  for (const [i, variant] of REFERENCE_VARIANTS.entries()) {
    signal?.throwIfAborted();
    const judged = await judge.judge(toTensor(drawCards(canvas, cards, variant)), { signal });
    features.set(judged.features, i * cards.length * dimensions);
    const done = (i + 1) * cards.length;
    onProgress?.({ row: 'references', done, total: REFERENCE_VARIANTS.length * cards.length });
  }
  return featureStatistics(features, dimensions);
}

const DEFAULT_BATCH = 32;

/** Pictures of one size as [N, 3, H, W] in [−1, 1]. */
function toTensor(pictures: readonly Image[]): Float32Array {
  const size = 3 * (pictures[0]?.width ?? 0) * (pictures[0]?.height ?? 0);
  const tensor = new Float32Array(pictures.length * size);
  for (const [i, picture] of pictures.entries()) imageToTensor(picture, tensor, i * size);
  return tensor;
}

function requireSize(model: Pipeline['model'], size: number): void {
  const own = pictureSize(model);
  if (squareSide(own) === size) return;
  throw new InputError(
    `${model.location} draws pictures of ${own ? `${own.width}×${own.height}` : 'no particular size'}; ` +
      `this evaluation is for models of postcards, ${size}×${size}, as its judge sees them`,
    { path: model.location, code: 'mismatch' },
  );
}
