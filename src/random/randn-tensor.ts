/** Noise for a batch of images, drawn as diffusers' `randn_tensor` draws it. */
import { UsageError } from '../errors.ts';
import { elementCount, type Shape } from '../graph/shape.ts';
import type { Generator } from './generator.ts';

/**
 * Standard normals for a tensor of `shape`, [B, ...].
 * One generator draws the whole batch at once. With one generator per image, each draws its own image, so a
 * picture depends neither on the batch size nor on its place in the batch.
 * A list of length one counts as a single generator.
 */
export function randnTensor(
  shape: Shape,
  generators: Generator | readonly Generator[],
): Float32Array<ArrayBuffer> {
  const length = elementCount(shape);
  const list: readonly Generator[] = Array.isArray(generators) ? generators : [generators];
  if (list.length === 1) return list[0]!.normal(length);
  const batch = shape[0];
  if (list.length !== batch) {
    throw new UsageError(
      `expected one generator, or one per image of the batch (${batch}); got ${list.length}`,
    );
  }
  const result = new Float32Array(length);
  const perImage = length / batch;
  list.forEach((generator, i) => {
    result.set(generator.normal(perImage), i * perImage);
  });
  return result;
}
