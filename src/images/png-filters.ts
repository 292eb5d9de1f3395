/** PNG's row filters (PNG specification, 9): each row is stored as differences to the bytes left and above. */

import { InputError } from '../errors.ts';

/** The neighbour among left, above and upper left that is nearest to left + above − upper left. */
function paeth(left: number, above: number, corner: number): number {
  const estimate = left + above - corner;
  const toLeft = Math.abs(estimate - left);
  const toAbove = Math.abs(estimate - above);
  const toCorner = Math.abs(estimate - corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** What filter type `type` predicts a byte to be. */
function predict(type: number, left: number, above: number, corner: number): number {
  switch (type) {
    case 1:
      return left;
    case 2:
      return above;
    case 3:
      return (left + above) >> 1;
    case 4:
      return paeth(left, above, corner);
    default:
      return 0;
  }
}

/**
 * Filters every row with the type whose differences are smallest in sum, the heuristic that the specification
 * recommends. Each row gets its filter's type in front.
 *
 * @param data rows of `rowBytes` bytes
 * @param step bytes per pixel
 */
export function filterRows(data: Uint8Array, rowBytes: number, height: number, step: number): Uint8Array {
  const rows = new Uint8Array(height * (rowBytes + 1));
  const candidate = new Uint8Array(rowBytes);
  for (let y = 0; y < height; y++) {
    const start = y * rowBytes;
    let best = Number.POSITIVE_INFINITY;
    for (let type = 0; type <= 4; type++) {
      let cost = 0;
      for (let x = 0; x < rowBytes; x++) {
        const left = x >= step ? data[start + x - step]! : 0;
        const above = y > 0 ? data[start + x - rowBytes]! : 0;
        const corner = x >= step && y > 0 ? data[start + x - rowBytes - step]! : 0;
        const difference = (data[start + x]! - predict(type, left, above, corner)) & 0xff;
        candidate[x] = difference;
        cost += difference < 128 ? difference : 256 - difference;
      }
      if (cost >= best) continue;
      best = cost;
      rows[y * (rowBytes + 1)] = type;
      rows.set(candidate, y * (rowBytes + 1) + 1);
    }
  }
  return rows;
}

/**
 * Undoes the filters, in place: the result lies at the beginning of the same memory.
 *
 * @param rows `height` rows of one filter byte and `rowBytes` bytes
 * @param step bytes per pixel, at least 1
 * @throws InputError for a filter type that does not exist
 */
export function unfilterRows(rows: Uint8Array, rowBytes: number, height: number, step: number): Uint8Array {
  // Every byte moves down by at least one place for each row, so that what is still to be read is never written over.
  const data = rows.subarray(0, height * rowBytes);
  for (let y = 0; y < height; y++) {
    const type = rows[y * (rowBytes + 1)]!;
    if (type > 4)
      throw new InputError(`PNG file is damaged: row ${y} has filter ${type}, which does not exist`, {
        code: 'damaged',
      });
    const start = y * rowBytes;
    for (let x = 0; x < rowBytes; x++) {
      const left = x >= step ? data[start + x - step]! : 0;
      const above = y > 0 ? data[start + x - rowBytes]! : 0;
      const corner = x >= step && y > 0 ? data[start + x - rowBytes - step]! : 0;
      data[start + x] = rows[y * (rowBytes + 1) + 1 + x]! + predict(type, left, above, corner);
    }
  }
  return data;
}
