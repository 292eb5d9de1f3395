/**
 * Pictures encoded once: latents as float16 in memory and in a file, so that training does not run the encoder again and
 * again. Pictures are encoded when they are needed for the first time, in blocks of neighbours in the order of training:
 * always the same ones together, so that a cache that was interrupted is equal to one that was filled at once.
 */
import type { Executable } from '../../engines/engine.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../graph/float16.ts';
import { float32Data, hostTensor } from '../../graph/host-tensor.ts';
import { elementCount } from '../../graph/shape.ts';
import { type Example, viewOf } from './example-order.ts';
import { type LatentsFile, type LatentsFileOptions, openLatentsFile } from './latents-file.ts';
import type { PictureSize, PictureSource } from './picture-source.ts';

/** A picture, and in which of its ways it is seen. */
export type SeenPicture = Pick<Example, 'picture' | 'variant'>;

export interface LatentsCacheOptions extends LatentsFileOptions {
  readonly source: PictureSource;
  /** Of its pictures, those that are kept have this size. */
  readonly size: PictureSize;
  /** What is kept, `count` of them, in the order in which a training of that seed meets them. */
  readonly encounters: (seed: number) => Iterable<SeenPicture>;
  /**
   * What takes `pixels` [N, 3, H, W] and gives `latents` [N, C, h, w], N = `block`. Asked for when the first picture is
   * to be encoded: a complete file needs no encoder.
   */
  readonly encoder: () => Promise<Executable>;
}

export class LatentsCache {
  readonly #options: LatentsCacheOptions;
  readonly #file: LatentsFile;
  /** What is at each place in the file, and the place of each. */
  readonly #kept: readonly SeenPicture[];
  readonly #places: ReadonlyMap<string, number>;
  #filling: Promise<void> = Promise.resolve();
  #done = 0;
  /** Pictures that this process encoded, and the seconds it took. */
  #encoded = 0;
  #seconds = 0;

  private constructor(options: LatentsCacheOptions, file: LatentsFile) {
    this.#options = options;
    this.#file = file;
    this.#kept = Array.from(options.encounters(file.seed), ({ picture, variant }) => ({ picture, variant }));
    this.#places = new Map(this.#kept.map((seen, place) => [keyOf(seen), place]));
    for (let i = 0; i < file.blocks; i++) if (file.isSound(i)) this.#done += this.#sizeOf(i);
  }

  /** Throws UsageError when the file holds the latents of something else, InputError when it is another's or in use. */
  static async open(options: LatentsCacheOptions): Promise<LatentsCache> {
    return new LatentsCache(options, await openLatentsFile(options));
  }

  /** Pictures whose latents are there. */
  get done(): number {
    return this.#done;
  }

  /**
   * Latents of pictures, [N, C, h, w]; those that are missing are encoded first. Rejects as soon as the signal is aborted;
   * what was encoded until then is kept.
   */
  async read(pictures: readonly SeenPicture[]): Promise<Float32Array> {
    const { shape, block } = this.#options;
    const places = pictures.map((seen) => {
      const place = this.#places.get(keyOf(seen));
      if (place === undefined)
        throw new RangeError(`picture ${keyOf(seen)} of a cache of ${this.#kept.length}`);
      return place;
    });
    const blocks = new Set(places.map((place) => Math.floor(place / block)));
    this.#filling = this.#filling.then(() => this.#fill([...blocks].sort((a, b) => a - b)));
    await this.#filling;
    const size = elementCount(shape);
    const result = new Float32Array(places.length * size);
    for (const [i, place] of places.entries()) result.set(this.#at(place), i * size);
    return result;
  }

  /** All that was encoded so far, one after the other. */
  *known(): Generator<{ readonly seen: SeenPicture; readonly latents: Float32Array }> {
    for (const [place, seen] of this.#kept.entries()) {
      if (!this.#file.isSound(Math.floor(place / this.#options.block))) continue;
      yield { seen, latents: this.#at(place) };
    }
  }

  /** Waits for what is being encoded, unless it was given up. */
  async close(): Promise<void> {
    await this.#filling.catch(() => {}); // heard by whoever reads
    await this.#file.close();
  }

  #at(place: number): Float32Array {
    const size = elementCount(this.#options.shape);
    return float16ToFloat32(this.#file.values.subarray(place * size, (place + 1) * size));
  }

  /** Pictures in a block: the last may have fewer. */
  #sizeOf(block: number): number {
    return Math.min(this.#options.block, this.#options.count - block * this.#options.block);
  }

  async #fill(blocks: readonly number[]): Promise<void> {
    const { count, source, size, encoder, block, shape, signal, onProgress } = this.#options;
    for (const i of blocks) {
      if (this.#file.isSound(i)) continue;
      signal?.throwIfAborted();
      const executable = await encoder();
      const begun = performance.now();
      const length = this.#sizeOf(i);
      // The encoder takes whole blocks: the last picture of a smaller one is repeated.
      const seen = Array.from({ length: block }, (_, k) => this.#kept[i * block + Math.min(k, length - 1)]!);
      const values = await source.pixels(
        seen.map(({ picture }) => picture),
        seen.map((one) => viewOf(source, this.#file.seed, one)),
      );
      const pixels = hostTensor(values, [block, 3, size.height, size.width]);
      const { latents } = await executable.run({ pixels }, { signal });
      const encoded = float32Data(latents!).subarray(0, length * elementCount(shape));
      await this.#file.write(i, float32ToFloat16(encoded));
      this.#done += length;
      this.#encoded += length;
      this.#seconds += (performance.now() - begun) / 1000;
      const imagesPerSecond = this.#encoded / this.#seconds;
      onProgress?.({
        type: 'phase',
        message: 'encoding pictures',
        done: this.#done,
        total: count,
        imagesPerSecond,
        secondsLeft: (count - this.#done) / imagesPerSecond,
      });
    }
  }
}

function keyOf({ picture, variant }: SeenPicture): string {
  return `${picture}/${variant}`;
}
