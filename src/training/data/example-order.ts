/** Which examples make up which batch, and how their pictures are seen: by the seed and the step alone. */
import { MIDDLE, type PictureSource, type View } from './picture-source.ts';
import { randomStream, ShuffledIndices } from './random-stream.ts';
import { SizedBatches } from './sized-batches.ts';

export interface ExampleOrderOptions {
  readonly source: PictureSource;
  readonly seed: number;
  /** Examples of a batch. */
  readonly batch: number;
  /** Examples 0 to `count` − 1 are taken; by default all. */
  readonly count?: number;
  /** In how many ways a picture is seen before they repeat; by default anew in every pass. */
  readonly variants?: number;
}

/** One example of a batch. */
export interface Example {
  /** For its caption. */
  readonly example: number;
  readonly picture: number;
  /** In which of the ways the picture is seen: `viewOf`. */
  readonly variant: number;
}

export class ExampleOrder {
  readonly #options: ExampleOrderOptions;
  readonly #count: number;
  readonly #walk: ShuffledIndices;
  /** For pictures of several sizes. */
  readonly #sized: SizedBatches;

  constructor(options: ExampleOrderOptions) {
    const { source, seed, count = source.size } = options;
    this.#options = options;
    this.#count = count;
    this.#walk = new ShuffledIndices(seed, count, source.shuffled);
    this.#sized = new SizedBatches({ ...options, count });
  }

  /** The examples of batch `step`, whose pictures have one size. */
  batch(step: number): Example[] {
    const { batch, source } = this.#options;
    if (source.sizes.length > 1) {
      const pass = Math.floor(step / this.#sized.batches);
      const examples = this.#sized.pass(pass)[step % this.#sized.batches]!;
      return examples.map((example) => this.#example(example, pass));
    }
    return Array.from({ length: batch }, (_, i) => this.#at(step * batch + i));
  }

  /** Every picture in each of its variants, in the order in which a training meets them first. */
  *encounters(): Generator<Example> {
    const { variants = 1 } = this.#options;
    for (let pass = 0; pass < variants; pass++) {
      const met = new Set<number>();
      for (const example of this.#pass(pass)) {
        if (met.has(example.picture)) continue;
        met.add(example.picture);
        yield example;
      }
    }
  }

  *#pass(pass: number): Generator<Example> {
    if (this.#options.source.sizes.length > 1) {
      for (const examples of this.#sized.pass(pass)) yield* examples.map((one) => this.#example(one, pass));
      return;
    }
    for (let i = 0; i < this.#count; i++) yield this.#at(pass * this.#count + i);
  }

  #at(position: number): Example {
    return this.#example(this.#walk.at(position), Math.floor(position / this.#count));
  }

  #example(example: number, pass: number): Example {
    const { source, variants } = this.#options;
    const isAlike = !source.variety.crop && !source.variety.flip;
    const variant = isAlike ? 0 : variants === undefined ? pass : pass % variants;
    return { example, picture: source.pictureOf(example), variant };
  }
}

/** How a picture is seen: two variants that follow each other are mirror images in their order. */
export function viewOf(
  { variety: { crop, flip } }: PictureSource,
  seed: number,
  { picture, variant }: Pick<Example, 'picture' | 'variant'>,
): View {
  if (!crop && !flip) return MIDDLE;
  const [position] = randomStream(seed, 3, picture, variant).uniform(1);
  const [coin] = randomStream(seed, 4, picture).uniform(1);
  const flipped = flip && (variant + (coin! < 0.5 ? 0 : 1)) % 2 === 1;
  return { position: crop ? position! : MIDDLE.position, flipped };
}

/**
 * Ways of seeing a picture that are kept where each costs something: as many as are `wanted`, or both directions and some
 * places of the cut.
 */
export function keptVariants({ variety: { crop, flip } }: PictureSource, wanted: number | null): number {
  if (!crop && !flip) return 1;
  return wanted ?? (crop ? 4 : 2);
}
