/** Numbers of which the least comes first (a binary heap). */
export class MinHeap {
  /** No number is larger than the two at 2i + 1 and 2i + 2. */
  readonly #values: number[] = [];

  push(value: number): void {
    const values = this.#values;
    let at = values.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (values[above]! <= value) break;
      values[at] = values[above]!;
      at = above;
    }
    values[at] = value;
  }

  /** Takes out the least; undefined when there is none. */
  pop(): number | undefined {
    const values = this.#values;
    const least = values[0];
    const last = values.pop();
    if (last === undefined || values.length === 0) return least;
    let at = 0;
    while (true) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      if (left >= values.length) break;
      const lesser = right < values.length && values[right]! < values[left]! ? right : left;
      if (values[lesser]! >= last) break;
      values[at] = values[lesser]!;
      at = lesser;
    }
    values[at] = last;
    return least;
  }
}
