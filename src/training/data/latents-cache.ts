/**
 * Pictures encoded once: latents as float16 in memory and in a file, so that training does not run the encoder again and
 * again. Pictures are encoded when they are needed for the first time, in blocks of neighbours in the order of training:
 * always the same ones together, so that a cache that was interrupted is equal to one that was filled at once.
 */
import type { Executable } from '../../engines/engine.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../graph/float16.ts';
import { float32Data, hostTensor } from '../../graph/host-tensor.ts';
import { elementCount } from '../../graph/shape.ts';
import { type LatentsFile, type LatentsFileOptions, openLatentsFile } from './latents-file.ts';
import type { PictureSource } from './picture-source.ts';
import { ShuffledIndices } from './random-stream.ts';

export interface LatentsCacheOptions extends LatentsFileOptions {
  /** Pictures 0 to `count` − 1 of it are kept. */
  readonly source: PictureSource;
  /**
   * What takes `pixels` [N, 3, H, W] and gives `latents` [N, C, h, w], N = `block`. Asked for when the first picture is
   * to be encoded: a complete file needs no encoder.
   */
  readonly encoder: () => Promise<Executable>;
}

export class LatentsCache {
  readonly #options: LatentsCacheOptions;
  readonly #file: LatentsFile;
  /** The place of each picture in the file, and the picture at each place. */
  readonly #places: Uint32Array;
  readonly #pictures: Uint32Array;
  #filling: Promise<void> = Promise.resolve();
  #done = 0;
  /** Pictures that this process encoded, and the seconds it took. */
  #encoded = 0;
  #seconds = 0;

  private constructor(options: LatentsCacheOptions, file: LatentsFile) {
    const { count, source } = options;
    this.#options = options;
    this.#file = file;
    const order = new ShuffledIndices(file.seed, count, source.shuffled);
    this.#pictures = Uint32Array.from({ length: count }, (_, place) => order.at(place));
    this.#places = new Uint32Array(count);
    for (const [place, picture] of this.#pictures.entries()) this.#places[picture] = place;
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
  async read(pictures: readonly number[]): Promise<Float32Array> {
    const { count, shape, block } = this.#options;
    const places = pictures.map((picture) => {
      if (picture >= count) throw new RangeError(`picture ${picture} of a cache of ${count}`);
      return this.#places[picture]!;
    });
    const blocks = new Set(places.map((place) => Math.floor(place / block)));
    this.#filling = this.#filling.then(() => this.#fill([...blocks].sort((a, b) => a - b)));
    await this.#filling;
    const size = elementCount(shape);
    const result = new Float32Array(places.length * size);
    for (const [i, place] of places.entries()) {
      const latents = this.#file.values.subarray(place * size, (place + 1) * size);
      result.set(float16ToFloat32(latents), i * size);
    }
    return result;
  }

  /** Waits for what is being encoded, unless it was given up. */
  async close(): Promise<void> {
    await this.#filling.catch(() => {}); // heard by whoever reads
    await this.#file.close();
  }

  /** Pictures in a block: the last may have fewer. */
  #sizeOf(block: number): number {
    return Math.min(this.#options.block, this.#options.count - block * this.#options.block);
  }

  async #fill(blocks: readonly number[]): Promise<void> {
    const { count, source, encoder, block, shape, signal, onProgress } = this.#options;
    for (const i of blocks) {
      if (this.#file.isSound(i)) continue;
      signal?.throwIfAborted();
      const executable = await encoder();
      const begun = performance.now();
      const size = this.#sizeOf(i);
      // The encoder takes whole blocks: the last picture of a smaller one is repeated.
      const places = Array.from({ length: block }, (_, k) => i * block + Math.min(k, size - 1));
      const pictures = places.map((place) => this.#pictures[place]!);
      const pixels = hostTensor(await source.pixels(pictures), [block, 3, source.height, source.width]);
      const { latents } = await executable.run({ pixels }, { signal });
      const encoded = float32Data(latents!).subarray(0, size * elementCount(shape));
      await this.#file.write(i, float32ToFloat16(encoded));
      this.#done += size;
      this.#encoded += size;
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
