/** Looking up rows of a table. */
import { elementCount, formatShape, ShapeError } from '../shape.ts';
import { filled, operation, rule, type Tensor } from '../tensor.ts';
import { cast } from './pointwise.ts';
import { reshape } from './shape.ts';

/** Rows of table [V, C] by ids (int64, any shape) → [...ids, C]. The gradient adds up where an id repeats. */
export function gather(table: Tensor, ids: Tensor): Tensor {
  if (table.shape.length !== 2 || ids.dtype !== 'int64') {
    throw new ShapeError(
      `Gather: needs a table [V, C] and int64 ids, got ${formatShape(table.shape)} and ${ids.dtype} ${formatShape(ids.shape)}`,
    );
  }
  const { node } = table;
  const [stored] = node.kind === 'operation' && node.type === 'Cast' ? node.inputs : [];
  // Only the rows that are asked for need to be cast: a stored table is large, and stays as it is.
  if (stored?.node.kind === 'parameter') return cast(gather(stored, ids), table.dtype);
  const width = table.shape[1]!;
  return operation('Gather', [table, ids], [...ids.shape, width], table.dtype, {
    attributes: { axis: { int: 0 } },
    gradient: rule((g) => {
      const count = elementCount(ids.shape);
      const rows = [filled(table.shape, 0), reshape(ids, [count, 1]), reshape(g, [count, width])];
      return [
        operation('ScatterND', rows, table.shape, table.dtype, {
          attributes: { reduction: { string: 'add' } },
        }),
        undefined,
      ];
    }),
  });
}
