/** What an operator's plain implementation looks like, and how it reads its attributes. */
import type { Attribute } from '../../graph/tensor.ts';
import type { Value } from './value.ts';

/** Inputs that are optional and not given are undefined. Shapes come from the inputs, never from the graph's inference. */
export type Kernel = (
  inputs: readonly (Value | undefined)[],
  attributes: Attributes,
) => Value | readonly Value[];

export class Attributes {
  readonly #values: Readonly<Record<string, Attribute>>;

  constructor(values: Readonly<Record<string, Attribute>>) {
    this.#values = values;
  }

  number(name: string, otherwise: number): number {
    const value = this.#values[name];
    if (value === undefined) return otherwise;
    if ('int' in value) return value.int;
    if ('float' in value) return value.float;
    throw new Error(`the attribute ${name} is not a number`);
  }

  numbers(name: string, otherwise: readonly number[]): readonly number[] {
    const value = this.#values[name];
    if (value === undefined) return otherwise;
    if ('ints' in value) return value.ints;
    if ('floats' in value) return value.floats;
    throw new Error(`the attribute ${name} is not a list of numbers`);
  }

  string(name: string, otherwise: string): string {
    const value = this.#values[name];
    if (value === undefined) return otherwise;
    if ('string' in value) return value.string;
    throw new Error(`the attribute ${name} is not a string`);
  }
}

/** Input `index`, which the operator cannot do without. */
export function required(inputs: readonly (Value | undefined)[], index: number): Value {
  const value = inputs[index];
  if (!value) throw new Error(`the input ${index} is missing`);
  return value;
}
