/** Where training pictures come from: by index, so that every batch can be made again. */
import { createContext } from '../../datasets/node/canvas.ts';
import { type PostcardOptions, postcard } from '../../datasets/postcards/postcards.ts';
import { renderTensor } from '../../datasets/postcards/render.ts';

/** In pixels. */
export interface PictureSize {
  readonly height: number;
  readonly width: number;
}

export interface PictureSource extends PictureSize {
  /** What decides the pixels, so that whatever is computed from them can be kept. */
  readonly identity: string;
  /** What decides the captions. */
  readonly captionIdentity: string;
  /** Pictures there are; Infinity when any index can be drawn. */
  readonly size: number;
  /** Whether neighbours have nothing to do with each other, so that no shuffling is needed. */
  readonly shuffled: boolean;
  /** The pictures as [N, 3, height, width] in −1 to 1. */
  pixels(indices: readonly number[]): Promise<Float32Array>;
  /** What a picture shows, in words. */
  caption(index: number): string;
}

/** Drawn on demand; no two indices give the same picture. */
export function postcardSource(options: PostcardOptions): PictureSource {
  const { seed = 0, size = 64, positionProbability } = options;
  const context = createContext(size, size);
  return {
    identity: `postcards, ${options.split}, seed ${seed}${size === 64 ? '' : `, ${size}×${size}`}`,
    captionIdentity: `positions named with probability ${positionProbability}`,
    size: Number.POSITIVE_INFINITY,
    shuffled: true,
    height: size,
    width: size,
    pixels: async (indices) =>
      renderTensor(
        context,
        indices.map((index) => postcard(index, options)),
      ),
    caption: (index) => postcard(index, options).caption,
  };
}
