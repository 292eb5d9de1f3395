/** Operators that read or write at places given by other tensors, and resizing, which reads at computed ones. */
import { elementCount, normalizeAxis, stridesOf } from '../../../graph/shape.ts';
import { coordinates, indexOf } from '../indexing.ts';
import { type Kernel, required } from '../kernel.ts';
import { tabulate } from '../value.ts';

export const lookup: Readonly<Record<string, Kernel>> = {
  /** Output [...before, ...ids, ...after] = table [...before, ids[...], ...after]. */
  Gather: (inputs, attributes) => {
    const [table, ids] = [required(inputs, 0), required(inputs, 1)];
    const axis = normalizeAxis('Gather', attributes.number('axis', 0), table.shape.length);
    const shape = [...table.shape.slice(0, axis), ...ids.shape, ...table.shape.slice(axis + 1)];
    const size = table.shape[axis]!;
    const after = elementCount(table.shape.slice(axis + 1));
    const count = ids.data.length;
    return tabulate(table.dtype, shape, (i) => {
      const inner = i % after;
      const at = Math.floor(i / after) % count;
      const outer = Math.floor(i / (after * count));
      const id = ids.data[at]!;
      if (id < -size || id >= size) throw new RangeError(`the id ${id} is outside a table of ${size}`);
      return table.data[(outer * size + (id < 0 ? id + size : id)) * after + inner]!;
    });
  },

  /** A copy of the data in which the slices named by the last axis of `indices` are replaced or added to. */
  ScatterND: (inputs, attributes) => {
    const [x, indices, updates] = [required(inputs, 0), required(inputs, 1), required(inputs, 2)];
    const reduction = attributes.string('reduction', 'none');
    if (reduction !== 'none' && reduction !== 'add')
      throw new Error(`the reduction "${reduction}" is not supported`);
    const depth = indices.shape.at(-1)!;
    const strides = stridesOf(x.shape).slice(0, depth);
    const slice = elementCount(x.shape.slice(depth));
    const data = x.data.slice();
    for (let row = 0; row < indices.data.length / depth; row++) {
      const begin = indexOf([...indices.data.subarray(row * depth, (row + 1) * depth)], strides);
      for (let i = 0; i < slice; i++) {
        const update = updates.data[row * slice + i]!;
        data[begin + i] = reduction === 'add' ? data[begin + i]! + update : update;
      }
    }
    return { ...x, data };
  },

  Resize: (inputs, attributes) => {
    const mode = [
      attributes.string('mode', 'nearest'),
      attributes.string('coordinate_transformation_mode', 'half_pixel'),
      attributes.string('nearest_mode', 'round_prefer_floor'),
    ].join(' ');
    if (mode !== 'nearest asymmetric floor') throw new Error(`the mode "${mode}" is not supported`);
    const [x, sizes] = [required(inputs, 0), required(inputs, 3)];
    const shape = [...sizes.data];
    const strides = stridesOf(x.shape);
    return tabulate(x.dtype, shape, (i) => {
      const place = coordinates(i, shape).map((at, axis) => Math.floor((at * x.shape[axis]!) / shape[axis]!));
      return x.data[indexOf(place, strides)]!;
    });
  },
};
