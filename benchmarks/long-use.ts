/**
 * One pipeline in long use: requests of mixed sizes, batches, steps and kinds, several at once, some of them aborted at
 * random moments. What is counted: errors, pictures that are other than those drawn alone, and memory.
 */
import { setImmediate } from 'node:timers/promises';
import { postcard } from '../src/datasets/postcards/postcards.ts';
import type { Image } from '../src/images/image.ts';
import { loadPipeline } from '../src/pipelines/node/load.ts';
import type { Pipeline } from '../src/pipelines/pipeline.ts';
import type { GenerationRequest } from '../src/pipelines/settings.ts';
import { Generator } from '../src/random/generator.ts';

export interface LongUseOptions {
  readonly model: string;
  readonly generations: number;
  /** Requests at a time. */
  readonly concurrency: number;
  /** Of the requests, those that are aborted. */
  readonly aborted: number;
  /** Every so many are drawn again, alone, at the end. */
  readonly compareEvery: number;
  /** Generations after which memory is looked at, beside the beginning and the end. */
  readonly marks: readonly number[];
  readonly onMark?: (mark: Mark) => void;
  /** Ends it early: what was begun is drawn to its end, compared and told. */
  readonly signal?: AbortSignal;
}

export interface Mark {
  readonly generations: number;
  readonly pictures: number;
  readonly seconds: number;
  /** Bytes: resident memory of the process, and what of it is the heap, and buffers outside the heap. */
  readonly rss: number;
  readonly heap: number;
  readonly buffers: number;
}

export interface LongUse {
  readonly marks: readonly Mark[];
  readonly generations: number;
  readonly pictures: number;
  /** Requests that were to be aborted: those that were, and those that had finished. */
  readonly aborted: number;
  readonly finishedFirst: number;
  /** Milliseconds until an aborted request was rejected, at most. */
  readonly slowestAbort: number;
  readonly compared: number;
  /** Numbers of the generations whose pictures were others than those drawn alone. */
  readonly different: readonly number[];
  /** What went wrong beside aborts. */
  readonly errors: readonly string[];
}

export async function longUse(options: LongUseOptions): Promise<LongUse> {
  const { generations, concurrency, compareEvery, onMark, signal } = options;
  const began = performance.now();
  const marks: Mark[] = [];
  const counts = { done: 0, pictures: 0, aborted: 0, finishedFirst: 0, slowestAbort: 0 };
  const errors: string[] = [];
  const drawn = new Map<number, readonly Image[]>();
  const mark = () => {
    const { rss, heapUsed: heap, arrayBuffers: buffers } = process.memoryUsage();
    const seconds = (performance.now() - began) / 1000;
    marks.push({ generations: counts.done, pictures: counts.pictures, seconds, rss, heap, buffers });
    onMark?.(marks.at(-1)!);
  };
  const pipeline = await loadPipeline(options.model);
  try {
    await pipeline.generate(requestOf(0));
    mark();
    let next = 0;
    const work = async () => {
      while (next < generations && !signal?.aborted) {
        const number = next++;
        const isCompared = number % compareEvery === 0;
        const isAborted = !isCompared && chance(number) < options.aborted;
        try {
          const images = await (isAborted ? aborted(pipeline, number, counts) : draw(pipeline, number));
          counts.pictures += images.length;
          if (isCompared) drawn.set(number, images);
        } catch (error) {
          errors.push(`generation ${number}: ${error instanceof Error ? error.message : error}`);
        }
        counts.done++;
        if (options.marks.includes(counts.done)) mark();
      }
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    if (marks.at(-1)!.generations !== counts.done) mark();
  } finally {
    await pipeline.dispose();
  }
  const different = await differentAlone(options.model, drawn);
  const { done, ...rest } = counts;
  return { marks, generations: done, ...rest, compared: drawn.size, different, errors };
}

async function draw(pipeline: Pipeline, number: number): Promise<readonly Image[]> {
  return (await pipeline.generate(requestOf(number))).images;
}

/** Draws until a random moment within about the time that it takes. */
async function aborted(
  pipeline: Pipeline,
  number: number,
  counts: { aborted: number; finishedFirst: number; slowestAbort: number },
): Promise<readonly Image[]> {
  const stop = new AbortController();
  const reason = new Error('enough');
  let when = 0;
  const timer = setTimeout(
    () => {
      when = performance.now();
      stop.abort(reason);
    },
    LONGEST * chance(number + 0.5),
  );
  try {
    const { images } = await pipeline.generate({ ...requestOf(number), signal: stop.signal });
    counts.finishedFirst++;
    return images;
  } catch (error) {
    if (error !== reason) throw error;
    counts.aborted++;
    counts.slowestAbort = Math.max(counts.slowestAbort, performance.now() - when);
    return [];
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds until a request is aborted, at most. */
const LONGEST = 400;

/** The generations whose pictures a pipeline that does nothing else draws otherwise. */
async function differentAlone(
  model: string,
  drawn: ReadonlyMap<number, readonly Image[]>,
): Promise<number[]> {
  const different: number[] = [];
  const pipeline = await loadPipeline(model);
  try {
    for (const [number, images] of drawn) {
      const alone = await draw(pipeline, number);
      const isEqual = alone.every(({ data }, i) => Buffer.compare(data, images[i]!.data) === 0);
      if (!isEqual || alone.length !== images.length) different.push(number);
      await setImmediate();
    }
  } finally {
    await pipeline.dispose();
  }
  return different;
}

const SIDES = [64, 72, 80, 96];

/** The request of each number, always the same. */
function requestOf(number: number): GenerationRequest {
  const random = new Generator(number);
  const pick = <T>(values: readonly T[]): T => values[random.uint32() % values.length]!;
  const count = pick([1, 1, 2, 3]);
  const prompt = Array.from({ length: count }, (_, i) => postcard(number + i, { split: 'test' }).caption);
  const request = { prompt, seed: number, steps: pick([1, 2, 4]), width: pick(SIDES), height: pick(SIDES) };
  if (pick([0, 1, 2, 3]) > 0) return request;
  const data = Uint8Array.from({ length: 3 * 64 * 64 }, () => random.uint32() % 256);
  return { ...request, image: { width: 64, height: 64, channels: 3, data }, strength: pick([0.5, 1]) };
}

/** A number from 0 to 1 that belongs to each generation. */
function chance(number: number): number {
  return new Generator(Math.round(2 * number) + 2 ** 20).uint32() / 2 ** 32;
}
