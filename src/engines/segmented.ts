/** Segments of a program as one executable: each is handed what it needs of the inputs and of what came before. */
import type { HostTensor } from '../graph/host-tensor.ts';
import type { Program } from '../graph/program.ts';
import { checkInputs } from './check-inputs.ts';
import type { Executable, RunOptions } from './engine.ts';

/** A program, what it was cut into, and which of its parameters' values are given when a segment is compiled. */
export interface SegmentedProgram {
  readonly name: string;
  readonly whole: Program;
  readonly segments: readonly Program[];
  readonly bound: (parameter: string) => boolean;
}

/** compiled: the segments, in their order. The signal is heard by the segment that runs. */
export function segmented(parts: SegmentedProgram, compiled: readonly Executable[]): Executable {
  const runAll = runner(parts);
  return {
    run: (inputs, options) => runAll(inputs, (i, given) => compiled[i]!.run(given, options)),
    async dispose() {
      await Promise.all(compiled.map((executable) => executable.dispose()));
    },
  };
}

/** Compiles segment `index`, counted from 0. */
export type OpenSegment = (index: number, options: RunOptions) => Promise<Executable>;

/**
 * Compiles each segment for every run anew, while the one before runs, and gives it back: weights of two segments are
 * held at a time.
 */
export function streamed(parts: SegmentedProgram, open: OpenSegment): Executable {
  const runAll = runner(parts);
  let disposed = false;
  return {
    async run(inputs, options = {}) {
      if (disposed) throw new Error(`${parts.name} was disposed of and cannot be run`);
      let next: Promise<Executable> | undefined;
      const begin = (i: number) => {
        next = i < parts.segments.length ? open(i, options) : undefined;
        // Whoever waits for it hears of the error when its turn comes.
        next?.catch(() => {});
      };
      try {
        return await runAll(inputs, async (i, given) => {
          if (i === 0) begin(0);
          const executable = await next!;
          begin(i + 1);
          try {
            return await executable.run(given, options);
          } finally {
            await executable.dispose();
          }
        });
      } catch (error) {
        await next?.then(
          (executable) => executable.dispose(),
          () => {}, // nothing was compiled
        );
        throw error;
      }
    },
    async dispose() {
      disposed = true;
    },
  };
}

type Values = Readonly<Record<string, HostTensor>>;
type RunSegment = (index: number, given: Values) => Promise<Record<string, HostTensor>>;

/** Checks the inputs as the whole does, and has the segments run in their order. */
function runner({ name, whole, segments, bound }: SegmentedProgram) {
  const unbound = [...whole.parameters].filter(([parameter]) => !bound(parameter));
  const expected = new Map([...whole.inputs, ...unbound]);
  const needs = segments.map(({ inputs, parameters }) => [
    ...inputs.keys(),
    ...[...parameters.keys()].filter((parameter) => !bound(parameter)),
  ]);
  return async (inputs: Values, run: RunSegment): Promise<Record<string, HostTensor>> => {
    checkInputs(name, expected, inputs);
    const values = new Map(Object.entries(inputs));
    for (const [i, names] of needs.entries()) {
      const given = Object.fromEntries(names.map((value) => [value, values.get(value)!]));
      for (const [output, value] of Object.entries(await run(i, given))) values.set(output, value);
      const later = new Set([...whole.outputs.keys(), ...needs.slice(i + 1).flat()]);
      for (const value of values.keys()) if (!later.has(value)) values.delete(value);
    }
    return Object.fromEntries([...whole.outputs.keys()].map((output) => [output, values.get(output)!]));
  };
}
