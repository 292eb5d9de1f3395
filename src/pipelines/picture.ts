/** Pictures that were drawn: pixels that know how they came about, and can be written with that inside. */
import { UsageError } from '../errors.ts';
import { grid } from '../images/grid.ts';
import type { Image } from '../images/image.ts';
import { encodePng } from '../images/png.ts';
import { type PictureSettings, pictureText } from './picture-text.ts';

/** How a picture is written. */
export interface PngOptions {
  /** Every pixel as scale × scale; a whole number. Default: 1. */
  readonly scale?: number | undefined;
}

/** What pictures need of the world around them. */
export interface PictureContext {
  /** Everything that it takes to draw the picture again; undefined where that is not known. */
  readonly settings: () => Promise<PictureSettings | undefined>;
  /** Writes a file whole or not at all; undefined where there are no files. */
  readonly writeFile: ((path: string, bytes: Uint8Array) => Promise<void>) | undefined;
}

/**
 * A picture of a generation: 8-bit RGB, row by row from the top, [height, width, 3].
 *
 * ```ts
 * const { images } = await pipeline.generate({ prompt: 'a fox', numImages: 2 });
 * await images[0].save('fox.png');
 * canvas.getContext('2d').putImageData(images[1].toImageData(), 0, 0);
 * ```
 */
export class Picture implements Image {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly data: Uint8Array;
  readonly #context: PictureContext;

  /** @internal */
  constructor({ width, height, channels, data }: Image, context: PictureContext) {
    this.width = width;
    this.height = height;
    this.channels = channels;
    this.data = data;
    this.#context = context;
  }

  /**
   * What the picture was drawn with, from which `pictureRequest` makes the request that draws it again. Undefined for
   * pictures of generators that were given, which have no seed, and of LoRAs that nobody said the names of: see
   * `PipelineOptions.drawnWith`. Rejects with InputError when a file that took part cannot be read any more.
   */
  settings(): Promise<PictureSettings | undefined> {
    return this.#context.settings();
  }

  /** A PNG file, with the settings inside as `lcm generate` writes them, where they are known. */
  async toPng({ scale = 1 }: PngOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const settings = await this.settings();
    const image = scale === 1 ? this : grid([this], { scale });
    return encodePng(image, settings && pictureText(settings));
  }

  /** The same as a Blob of the type `image/png`, for pages and uploads. */
  async toBlob(): Promise<Blob> {
    return new Blob([await this.toPng()], { type: 'image/png' });
  }

  /** Its pixels for a canvas, in browsers. Throws UsageError where there is no ImageData. */
  toImageData(): ImageData {
    if (typeof ImageData === 'undefined') {
      throw new UsageError(
        'there is no ImageData here, as browsers have it: use toPng(), or save(path) in Node',
      );
    }
    const { width, height, channels, data } = this;
    const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < channels; c++) rgba[4 * i + c] = data[channels * i + c]!;
    }
    return new ImageData(rgba, width, height);
  }

  /**
   * Writes `toPng` to a file, in Node: beside it, and renamed when it is complete; folders are made. Rejects with
   * InputError when it cannot be written, and with UsageError where there are no files, as in a browser.
   *
   * @param path the name of a PNG file; what has that name is replaced
   */
  async save(path: string, options?: PngOptions): Promise<void> {
    const { writeFile } = this.#context;
    if (writeFile === undefined) {
      throw new UsageError('there are no files here to save a picture in: use toBlob() or toPng()');
    }
    if (!/\.png$/i.test(path)) {
      throw new UsageError(
        `cannot save ${path}: pictures are saved as PNG, under a name that ends with .png`,
      );
    }
    await writeFile(path, await this.toPng(options));
  }
}
