/** Walking through row-major arrays. */
import { type Shape, stridesOf } from '../../graph/shape.ts';

/** The place along each axis of element `index` of a row-major array of shape `shape`. */
export function coordinates(index: number, shape: Shape): number[] {
  const place = new Array<number>(shape.length);
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    place[axis] = rest % shape[axis]!;
    rest = Math.floor(rest / shape[axis]!);
  }
  return place;
}

/** The index of the element at `place` in a row-major array with these strides. */
export function indexOf(place: readonly number[], strides: readonly number[]): number {
  let index = 0;
  for (let axis = 0; axis < place.length; axis++) index += place[axis]! * strides[axis]!;
  return index;
}

/** For an array of shape `shape` repeated to `target` (NumPy's rules): from an index in the target to one in the array. */
export function repeatedIndex(shape: Shape, target: Shape): (index: number) => number {
  const lead = target.length - shape.length;
  const strides = stridesOf(shape).map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
  return (index) => indexOf(coordinates(index, target).slice(lead), strides);
}
