/** What somebody meant who made a typing error. */

/** What is longer is no typing error, and would take long to compare. */
const LONGEST_WORD = 100;

/** The candidate with the fewest typing errors, if there are few. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > LONGEST_WORD) return undefined;
  const scored = candidates.map((candidate) => ({
    candidate,
    errors: typingErrors(word.toLowerCase(), candidate),
  }));
  const best = scored.sort((a, b) => a.errors - b.errors)[0];
  return best && best.errors <= Math.max(1, Math.floor(best.candidate.length / 3))
    ? best.candidate
    : undefined;
}

/** Levenshtein's distance, with two neighbouring letters exchanged counted as one error. */
function typingErrors(a: string, b: string): number {
  const d = Array.from({ length: a.length + 1 }, (_, i) => [i, ...new Array<number>(b.length).fill(0)]);
  for (let j = 0; j <= b.length; j++) d[0]![j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const differs = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(d[i - 1]![j]! + 1, d[i]![j - 1]! + 1, d[i - 1]![j - 1]! + differs);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, d[i - 2]![j - 2]! + 1);
      }
      d[i]![j] = least;
    }
  }
  return d[a.length]![b.length]!;
}
