/** Pictures of people's files as tensors: scaled to cover a size, cut, and turned. */
import { createCanvas } from '@napi-rs/canvas';
import { InputError } from '../../errors.ts';
import type { Image } from '../../images/image.ts';
import { drawable } from '../../images/node/canvas-image.ts';
import { decodePicture } from '../../images/node/open-image.ts';
import { MIDDLE, type PictureSize, type View } from '../data/picture-source.ts';
import type { FoundFile } from './listing.ts';

/** As [N, 3, height, width] in −1 to 1. Throws InputError, naming the file, for a picture that is damaged. */
export async function readPixels(
  pictures: readonly FoundFile[],
  size: PictureSize,
  views?: readonly View[],
): Promise<Float32Array> {
  const plane = size.height * size.width;
  const tensor = new Float32Array(pictures.length * 3 * plane);
  await Promise.all(
    pictures.map(async (picture, n) => {
      const view = views?.[n] ?? MIDDLE;
      const rgba = covered(await drawable(await decoded(picture)), size, view);
      for (let i = 0; i < plane; i++) {
        const x = i % size.width;
        const from = view.flipped ? i - x + size.width - 1 - x : i;
        for (let c = 0; c < 3; c++) tensor[(3 * n + c) * plane + i] = rgba[4 * from + c]! / 127.5 - 1;
      }
    }),
  );
  return tensor;
}

async function decoded(picture: FoundFile): Promise<Image> {
  const source = await picture.open();
  try {
    return await decodePicture(await source.read(0, source.size));
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(`picture ${source.name} cannot be read: ${cause.message}`, {
      cause,
      path: source.name,
      code: cause.code,
    });
  }
}

/** RGBA bytes, [height, width, 4], of as much of the picture as has the form of the size; transparency becomes white. */
function covered(
  image: Awaited<ReturnType<typeof drawable>>,
  { height, width }: PictureSize,
  { position }: View,
): Uint8ClampedArray {
  const context = createCanvas(width, height).getContext('2d');
  context.fillStyle = 'white';
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = 'high';
  const cutWidth = Math.min(image.width, (image.height * width) / height);
  const cutHeight = Math.min(image.height, (image.width * height) / width);
  context.drawImage(
    image,
    ...([(image.width - cutWidth) * position, (image.height - cutHeight) * position] as const),
    ...([cutWidth, cutHeight, 0, 0, width, height] as const),
  );
  return context.getImageData(0, 0, width, height).data;
}
