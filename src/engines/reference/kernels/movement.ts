/** Operators that move elements without changing them. */
import { broadcastShapes, elementCount, normalizeAxis, stridesOf } from '../../../graph/shape.ts';
import { coordinates, indexOf, repeatedIndex } from '../indexing.ts';
import { type Kernel, required } from '../kernel.ts';
import { tabulate, type Value } from '../value.ts';

export const movement: Readonly<Record<string, Kernel>> = {
  Reshape: (inputs) => {
    const x = required(inputs, 0);
    // 0 keeps a size, −1 follows from the others.
    const asked = integers(inputs[1]).map((size, axis) => (size === 0 ? x.shape[axis]! : size));
    const known = elementCount(asked.filter((size) => size !== -1));
    return { ...x, shape: asked.map((size) => (size === -1 ? x.data.length / known : size)) };
  },

  Transpose: (inputs, attributes) => {
    const x = required(inputs, 0);
    const permutation = attributes.numbers('perm', [...x.shape.keys()].reverse());
    const shape = permutation.map((axis) => x.shape[axis]!);
    const strides = stridesOf(x.shape);
    const permuted = permutation.map((axis) => strides[axis]!);
    return tabulate(x.dtype, shape, (i) => x.data[indexOf(coordinates(i, shape), permuted)]!);
  },

  Expand: (inputs) => {
    const x = required(inputs, 0);
    const shape = broadcastShapes('Expand', x.shape, integers(inputs[1]));
    const index = repeatedIndex(x.shape, shape);
    return tabulate(x.dtype, shape, (i) => x.data[index(i)]!);
  },

  Slice: (inputs) => {
    const x = required(inputs, 0);
    const [starts, ends] = [integers(inputs[1]), integers(inputs[2])];
    const axes = inputs[3] ? integers(inputs[3]) : [...starts.keys()];
    const steps = inputs[4] ? integers(inputs[4]) : starts.map(() => 1);
    const first = x.shape.map(() => 0);
    const step = x.shape.map(() => 1);
    const shape = [...x.shape];
    axes.forEach((given, i) => {
      const axis = normalizeAxis('Slice', given, x.shape.length);
      const size = x.shape[axis]!;
      const by = steps[i]!;
      const bound = (at: number) => {
        const place = at < 0 ? at + size : at;
        return by > 0 ? Math.min(Math.max(place, 0), size) : Math.min(Math.max(place, -1), size - 1);
      };
      first[axis] = bound(starts[i]!);
      step[axis] = by;
      shape[axis] = Math.max(0, Math.ceil((bound(ends[i]!) - first[axis]) / by));
    });
    const strides = stridesOf(x.shape);
    return tabulate(x.dtype, shape, (i) => {
      const place = coordinates(i, shape).map((at, axis) => first[axis]! + at * step[axis]!);
      return x.data[indexOf(place, strides)]!;
    });
  },

  Concat: (inputs, attributes) => {
    const parts = inputs.map((_, i) => required(inputs, i));
    const [head] = [required(inputs, 0)];
    const axis = normalizeAxis('Concat', attributes.number('axis', 0), head.shape.length);
    const sizes = parts.map((part) => part.shape[axis]!);
    const shape = head.shape.map((size, i) => (i === axis ? sizes.reduce((sum, n) => sum + n, 0) : size));
    return tabulate(head.dtype, shape, (i) => {
      const place = coordinates(i, shape);
      let part = 0;
      while (place[axis]! >= sizes[part]!) place[axis]! -= sizes[part++]!;
      return parts[part]!.data[indexOf(place, stridesOf(parts[part]!.shape))]!;
    });
  },

  Split: (inputs, attributes) => {
    const x = required(inputs, 0);
    const axis = normalizeAxis('Split', attributes.number('axis', 0), x.shape.length);
    const strides = stridesOf(x.shape);
    let begin = 0;
    return integers(inputs[1]).map((size) => {
      const offset = begin;
      begin += size;
      const shape = x.shape.map((whole, i) => (i === axis ? size : whole));
      return tabulate(x.dtype, shape, (i) => {
        const place = coordinates(i, shape);
        place[axis]! += offset;
        return x.data[indexOf(place, strides)]!;
      });
    });
  },

  Pad: (inputs, attributes) => {
    if (attributes.string('mode', 'constant') !== 'constant')
      throw new Error('only constant padding is supported');
    const x = required(inputs, 0);
    const pads = integers(inputs[1]);
    const fill = inputs[2]?.data[0] ?? 0;
    const rank = x.shape.length;
    const shape = x.shape.map((size, axis) => size + pads[axis]! + pads[axis + rank]!);
    const strides = stridesOf(x.shape);
    return tabulate(x.dtype, shape, (i) => {
      const place = coordinates(i, shape).map((at, axis) => at - pads[axis]!);
      const inside = place.every((at, axis) => at >= 0 && at < x.shape[axis]!);
      return inside ? x.data[indexOf(place, strides)]! : fill;
    });
  },
};

/** A list of integers that an operator takes as a tensor. */
function integers(value: Value | undefined): number[] {
  if (!value) throw new Error('a list of sizes or places is missing');
  return [...value.data];
}
