/** What people hand in, by kind, and what each kind promises. */
import type { Random } from './random.ts';

/** `read`: it made sense; `drawn`: it did, and a picture was drawn with it. What is refused throws. */
export type Reading = 'read' | 'drawn';

export interface Input {
  /** A refusal names one of these; empty for what lies in no file. */
  readonly names: readonly string[];
  /** Does what people do with such an input. */
  use(): Promise<Reading>;
}

export interface Kind {
  readonly name: string;
  /** Makes an input, and its files below `folder`, which is empty. */
  make(random: Random, folder: string): Promise<Input>;
}

/** From the folder of the repository, in which npm runs scripts and tests. */
export const FIXTURES = 'tests/fixtures';
