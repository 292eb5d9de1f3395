/**
 * Parameters from stored weights. A leaf keeps the type it is stored in and a cast to float32 follows it, so that
 * an engine can bind the bytes in place (ONNX Runtime folds the cast once, when it loads the model).
 */
import { InputError } from '../errors.ts';
import { cast, transpose } from '../graph/operators/index.ts';
import { formatShape, type Shape, sameShape } from '../graph/shape.ts';
import { parameter, type Tensor } from '../graph/tensor.ts';
import { Params } from '../layers/params.ts';
import { listed } from '../messages.ts';
import { isFloat } from './convert.ts';
import { placed, placeOf, readableType, type Weights } from './weights.ts';

/** What a model asked for, against what is stored. */
export class StoredParams {
  /** For the model function: every weight is a float32 tensor. */
  readonly params: Params;
  readonly #weights: Weights;
  readonly #prefix: string;
  readonly #tensors = new Map<string, Tensor>();
  readonly #missing: string[] = [];

  constructor(weights: Weights, prefix: string) {
    this.#weights = weights;
    this.#prefix = prefix;
    this.params = new Params((name, shape) => {
      const known = this.#tensors.get(prefix + name);
      if (known && sameShape(known.shape, shape)) return known;
      const tensor = this.#leaf(prefix + name, shape);
      this.#tensors.set(prefix + name, tensor);
      return tensor;
    });
  }

  /** Names that the model asked for and the weights do not have. */
  get missing(): readonly string[] {
    return this.#missing;
  }

  /** Names under the prefix that the model has not asked for. */
  get surplus(): string[] {
    return [...this.#weights.keys()].filter(
      (name) => name.startsWith(this.#prefix) && !this.#tensors.has(name),
    );
  }

  /**
   * To be called after the model function. Throws InputError when weights are missing, naming the first of them;
   * `from` says where the weights come from. Surplus weights are no error: see `surplus`.
   */
  requireAll(from: string): void {
    if (this.#missing.length === 0) return;
    throw new InputError(
      `${from} lacks ${this.#missing.length} of the ${this.#tensors.size} weights of the model: ${listed(this.#missing)}. ` +
        `Its config may describe another model${this.surplus.length > 0 ? `; not used are ${listed(this.surplus)}` : ''}`,
      { path: from, code: 'damaged' },
    );
  }

  #leaf(name: string, shape: Shape): Tensor {
    const weight = this.#weights.get(name);
    if (!weight) {
      // Go on, so that everything that is missing can be told at once.
      this.#missing.push(name);
      return parameter(name, shape);
    }
    const { transposed = false } = weight;
    const stored = transposed ? shape.toReversed() : shape;
    if (!sameShape(weight.shape, stored)) {
      throw new InputError(
        `the weight ${placed(name, weight)} is stored with the shape ${formatShape(weight.shape)}, the model's config asks for ${formatShape(stored)}; weights and config do not belong together`,
        { path: placeOf(weight), code: 'mismatch' },
      );
    }
    const dtype = readableType(name, weight);
    if (!isFloat(dtype)) {
      throw new InputError(
        `the weight ${placed(name, weight)} is stored as ${dtype}; quantised weights are not supported, use float32, float16 or bfloat16`,
        { path: placeOf(weight), code: 'unsupported' },
      );
    }
    const values = cast(parameter(name, stored, dtype), 'float32');
    return transposed ? transpose(values, [1, 0]) : values;
  }
}

/**
 * Parameters that are the stored `weights` whose names begin with `prefix`, which is not part of a parameter's path
 * (`params.in('conv_in').weight('bias', …)` is `${prefix}conv_in.bias`). The leaves have the names of the weights,
 * so `engine.compile(program, { weights })` binds them. Throws InputError, naming both shapes, for a weight whose
 * stored shape is not the one that the layer declares.
 */
export function paramsFromWeights(weights: Weights, prefix = ''): StoredParams {
  return new StoredParams(weights, prefix);
}

/** The same weights with `prefix` before every name, to keep several networks apart in one program. */
export function withPrefix(weights: Weights, prefix: string): Weights {
  return new Map([...weights].map(([name, weight]) => [prefix + name, weight]));
}
