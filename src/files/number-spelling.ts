/**
 * How numbers were spelled in the JSON that they were read from. Python tells floats from integers by it, `1.0` from
 * `1`, and transformers 5 refuses one in place of the other; JavaScript has one type for both. So whatever is read, and
 * written again, keeps its spelling.
 */

/** By the object or list that holds the numbers, and by key; only where JavaScript would spell them otherwise. */
const spellings = new WeakMap<object, Map<string, string>>();

/** Numbers of one object or list whose spelling is remembered: a list of betas has 1,000, and longer ones are data. */
const MOST = 4096;

/** Remembers that `container[key]`, a number, was spelled `spelling`. */
export function rememberSpelling(container: object, key: string | number, spelling: string): void {
  const known = spellings.get(container);
  if (spelling === String(Number(spelling))) {
    known?.delete(String(key));
  } else if (known) {
    if (known.size < MOST || known.has(String(key))) known.set(String(key), spelling);
  } else {
    spellings.set(container, new Map([[String(key), spelling]]));
  }
}

/** How `container[key]` was spelled; undefined where it has another value by now, or JavaScript spells it so too. */
export function spellingOf(container: object, key: string | number, value: number): string | undefined {
  const spelling = spellings.get(container)?.get(String(key));
  return spelling !== undefined && Object.is(Number(spelling), value) ? spelling : undefined;
}

/** Returns `copy`, whose numbers are from now on spelled as those that `original` has under the same keys. */
export function spelledLike<T extends object>(copy: T, original: object): T {
  for (const [key, spelling] of spellings.get(original) ?? []) rememberSpelling(copy, key, spelling);
  return copy;
}
