/** Where training pictures come from: by index, so that every batch can be made again. */
import { createContext } from '../../datasets/node/canvas.ts';
import { type PostcardOptions, postcard } from '../../datasets/postcards/postcards.ts';
import { renderTensor } from '../../datasets/postcards/render.ts';

/** The size of a picture, in pixels. */
export interface PictureSize {
  readonly height: number;
  readonly width: number;
}

/** How a picture is cut and turned. */
export interface View {
  /** Where the cut lies in what is longer than wanted: 0 at its beginning, 1 at its end. */
  readonly position: number;
  /** Whether left and right are exchanged. */
  readonly flipped: boolean;
}

/** Where nothing is drawn by chance. */
export const MIDDLE: View = { position: 0.5, flipped: false };

/** What is drawn by chance whenever a picture is seen. */
export interface Variety {
  /** Where the cut lies, in place of the middle. */
  readonly crop: boolean;
  readonly flip: boolean;
}

export interface PictureSource extends PictureSize {
  /** What decides the pixels, so that whatever is computed from them can be kept. */
  readonly identity: string;
  /** What decides the captions. */
  readonly captionIdentity: string;
  /** Examples there are, pictures with a caption; Infinity when any index can be drawn. */
  readonly size: number;
  /** Whether neighbours have nothing to do with each other, so that no shuffling is needed. */
  readonly shuffled: boolean;
  readonly variety: Variety;
  /** Distinct pictures there are. */
  readonly pictures: number;
  /** The picture of an example: examples with other captions, or repeats, may have the same. */
  pictureOf(example: number): number;
  /** The size at which a picture is trained on. */
  sizeOf(picture: number): PictureSize;
  /**
   * Pictures as [N, 3, height, width] in −1 to 1. `views` are of each; without them, its middle. `size`: that of all; without
   * it, the one that they have in common.
   */
  pixels(pictures: readonly number[], views?: readonly View[], size?: PictureSize): Promise<Float32Array>;
  /** All sizes at which pictures are trained on, the one with the most pixels first. */
  readonly sizes: readonly PictureSize[];
  /** What an example's picture shows, in words. */
  caption(example: number): string;
}

/** Postcards, drawn on demand; no two indices give the same picture. */
export function postcardSource(options: PostcardOptions): PictureSource {
  const { seed = 0, size = 64, positionProbability } = options;
  const context = createContext(size, size);
  return {
    identity: `postcards, ${options.split}, seed ${seed}${size === 64 ? '' : `, ${size}×${size}`}`,
    captionIdentity: `positions named with probability ${positionProbability}`,
    size: Number.POSITIVE_INFINITY,
    shuffled: true,
    variety: { crop: false, flip: false },
    pictures: Number.POSITIVE_INFINITY,
    height: size,
    width: size,
    pictureOf: (example) => example,
    sizeOf: () => ({ height: size, width: size }),
    sizes: [{ height: size, width: size }],
    pixels: async (indices) =>
      renderTensor(
        context,
        indices.map((index) => postcard(index, options)),
      ),
    caption: (index) => postcard(index, options).caption,
  };
}
