/**
 * Batches of pictures of several sizes, each batch of one size. Every pass shows all examples; where those of a size do not
 * fill its last batch, some of them are seen twice, so that all passes have as many batches.
 */
import type { PictureSource } from './picture-source.ts';
import { randomStream } from './random-stream.ts';

export interface SizedBatchesOptions {
  readonly source: PictureSource;
  readonly seed: number;
  readonly batch: number;
  /** Examples 0 to `count` − 1 are taken. */
  readonly count: number;
}

export class SizedBatches {
  readonly #options: SizedBatchesOptions;
  /** The size of each example, by its place among the sizes. */
  readonly #sizes: Uint16Array;
  /** Batches of a pass. */
  readonly batches: number;
  #known: { readonly pass: number; readonly batches: readonly (readonly number[])[] } | undefined;

  constructor(options: SizedBatchesOptions) {
    const { source, batch, count } = options;
    this.#options = options;
    const places = new Map(source.sizes.map((size, place) => [`${size.width}×${size.height}`, place]));
    this.#sizes = Uint16Array.from({ length: source.sizes.length > 1 ? count : 0 }, (_, example) => {
      const { width, height } = source.sizeOf(source.pictureOf(example));
      return places.get(`${width}×${height}`)!;
    });
    const counts = source.sizes.map((_, place) => this.#sizes.filter((size) => size === place).length);
    this.batches = counts.reduce((sum, examples) => sum + Math.ceil(examples / batch), 0);
  }

  /** The batches of a pass, by the seed and the pass alone. */
  pass(pass: number): readonly (readonly number[])[] {
    if (this.#known?.pass === pass) return this.#known.batches;
    const { source, seed, batch, count } = this.#options;
    const examples = source.sizes.map((): number[] => []);
    for (const example of randomStream(seed, pass).randperm(count)) {
      examples[this.#sizes[example]!]!.push(example);
    }
    const inOrder = examples.flatMap((some) =>
      Array.from({ length: Math.ceil(some.length / batch) }, (_, k) =>
        Array.from({ length: batch }, (_, i) => some[(k * batch + i) % some.length]!),
      ),
    );
    const batches = Array.from(randomStream(seed, pass, 1).randperm(inOrder.length), (at) => inOrder[at]!);
    this.#known = { pass, batches };
    return batches;
  }
}
