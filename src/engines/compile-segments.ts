/** The segments of a large program compiled by several workers at a time, in an order that keeps the peak of memory low. */

import type { Program } from '../graph/program.ts';
import { elementCount } from '../graph/shape.ts';
import type { Executable } from './engine.ts';

/** Compiles one segment; `part` counts from 1. */
export type CompileSegment = (segment: Program, part: number) => Promise<Executable>;

/**
 * Every worker takes the next segment as soon as it is done with one. While a weight is cast and packed it takes
 * several times its memory, so the segments with the largest weights come first, when little else is held yet; what
 * they leave free then takes in the others.
 *
 * When a segment does not compile, those that did are disposed of, and the first error is thrown.
 */
export async function compileSegments(
  segments: readonly Program[],
  workers: readonly CompileSegment[],
): Promise<Executable[]> {
  const compiled = new Map<number, Executable>();
  const waiting = segments
    .map((program, index) => ({ program, index, largest: largestParameter(program) }))
    .sort((a, b) => b.largest - a.largest);
  const work = async (compile: CompileSegment): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { program, index } = next;
      try {
        compiled.set(index, await compile(program, index + 1));
      } catch (error) {
        waiting.length = 0;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(workers.map(work));
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) {
    await Promise.all([...compiled.values()].map((executable) => executable.dispose()));
    throw failed.reason;
  }
  return segments.map((_, index) => compiled.get(index)!);
}

function largestParameter({ parameters }: Program): number {
  return Math.max(0, ...[...parameters.values()].map(({ shape }) => elementCount(shape)));
}
