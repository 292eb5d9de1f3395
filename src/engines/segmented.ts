/** Segments of a program as one executable: each is handed what it needs of the inputs and of what came before. */
import type { HostTensor } from '../graph/host-tensor.ts';
import type { Program } from '../graph/program.ts';
import { checkInputs } from './check-inputs.ts';
import type { Executable, RunOptions } from './engine.ts';

export interface CompiledSegment {
  readonly program: Program;
  readonly executable: Executable;
}

/**
 * `whole`: what the segments were cut from; `bound`: whether a parameter's value was given at compile time. The signal
 * is heard by the segment that runs.
 */
export function segmented(
  name: string,
  whole: Program,
  bound: (parameter: string) => boolean,
  compiled: readonly CompiledSegment[],
): Executable {
  const unbound = [...whole.parameters].filter(([parameter]) => !bound(parameter));
  const expected = new Map([...whole.inputs, ...unbound]);
  const needs = compiled.map(({ program }) => [
    ...program.inputs.keys(),
    ...[...program.parameters.keys()].filter((parameter) => !bound(parameter)),
  ]);
  return {
    async run(
      inputs: Readonly<Record<string, HostTensor>>,
      options?: RunOptions,
    ): Promise<Record<string, HostTensor>> {
      checkInputs(name, expected, inputs);
      const values = new Map(Object.entries(inputs));
      for (const [i, { executable }] of compiled.entries()) {
        const given = Object.fromEntries(needs[i]!.map((value) => [value, values.get(value)!]));
        for (const [output, value] of Object.entries(await executable.run(given, options))) {
          values.set(output, value);
        }
        const later = new Set([...whole.outputs.keys(), ...needs.slice(i + 1).flat()]);
        for (const value of values.keys()) if (!later.has(value)) values.delete(value);
      }
      return Object.fromEntries([...whole.outputs.keys()].map((output) => [output, values.get(output)!]));
    },
    async dispose() {
      await Promise.all(compiled.map(({ executable }) => executable.dispose()));
    },
  };
}
