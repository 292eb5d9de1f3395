/**
 * Parameters by scope. A layer names a weight, its shape and how it starts where it uses it; whoever runs the
 * model function decides what that weight is: a fresh parameter, a stored one, a cast, `W + (α/r)·B·A`.
 * So one model function initialises, loads, counts and trains.
 */
import type { Shape } from '../graph/shape.ts';
import { parameter, type Tensor } from '../graph/tensor.ts';
import type { Initializer } from './initializers.ts';

/** Gives the tensor for a weight. `name` is the whole path, e.g. `down_blocks.0.resnets.0.conv1.weight`. */
export type ParameterSource = (name: string, shape: Shape, initializer: Initializer) => Tensor;

/** What a group of channels is normalised by, [B, groups] each. */
export interface GroupStatistics {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/**
 * Gives a group norm the statistics that it normalises by, in place of those of its own values, or undefined to leave it
 * at these. Every group norm asks: with its name, what it normalises, [B, C, H, W], and its number of groups.
 */
export type StatisticsSource = (name: string, x: Tensor, groups: number) => GroupStatistics | undefined;

/**
 * The weights of one part of a model, by their names within it.
 *
 * ```ts
 * p.in('down_blocks').in(0).weight('conv.weight', [8, 4, 3, 3], zerosInitializer).shape; // [8, 4, 3, 3]
 * ```
 */
export class Params {
  readonly #source: ParameterSource;
  readonly #path: string;
  readonly #statistics: StatisticsSource | undefined;

  constructor(source: ParameterSource, path = '', statistics?: StatisticsSource) {
    this.#source = source;
    this.#path = path;
    this.#statistics = statistics;
  }

  /** The same parameters for layers whose group norms ask `statistics`. */
  normalizedBy(statistics: StatisticsSource): Params {
    return new Params(this.#source, this.#path, statistics);
  }

  /** For the group norm of this scope: see `StatisticsSource`. */
  statistics(x: Tensor, groups: number): GroupStatistics | undefined {
    return this.#statistics?.(this.#path, x, groups);
  }

  /** The parameters of a part: `params.in('down_blocks').in(0)`, or `params.in('down_blocks.0')`. */
  in(part: string | number): Params {
    return new Params(this.#source, this.#nameOf(part), this.#statistics);
  }

  /** Declares a weight of this part. */
  weight(name: string, shape: Shape, initializer: Initializer): Tensor {
    return this.#source(this.#nameOf(name), shape, initializer);
  }

  #nameOf(part: string | number): string {
    return this.#path === '' ? `${part}` : `${this.#path}.${part}`;
  }
}

/** What a model declared: enough to initialise, count, check and name its weights. */
export interface Declaration {
  readonly shape: Shape;
  readonly initializer: Initializer;
  readonly tensor: Tensor;
}

/** Parameters that are fresh float32 leaves, recorded under their names as a model function asks for them. */
export class DeclaredParams {
  readonly declarations = new Map<string, Declaration>();

  /** `prefix` keeps the leaves of several networks in one program apart; it is not part of the weight's name. */
  readonly params: Params;

  constructor(prefix = '') {
    this.params = new Params((name, shape, initializer) => {
      const known = this.declarations.get(name);
      if (known) {
        if (known.shape.length !== shape.length || known.shape.some((size, axis) => size !== shape[axis])) {
          throw new Error(`the weight ${name} is used with the shapes [${known.shape}] and [${shape}]`);
        }
        return known.tensor;
      }
      const tensor = parameter(`${prefix}${name}`, shape);
      this.declarations.set(name, { shape, initializer, tensor });
      return tensor;
    });
  }

  /** The number of scalars in all weights together. */
  get count(): number {
    let count = 0;
    for (const { shape } of this.declarations.values())
      count += shape.reduce((product, size) => product * size, 1);
    return count;
  }
}
