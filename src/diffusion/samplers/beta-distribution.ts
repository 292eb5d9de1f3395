/** The symmetric beta distribution on (0, 1), with density proportional to (x (1 − x))^(a − 1). */

/** The quantile: the x below which lies the share `q` of it, to the precision of float64. */
export function symmetricBetaQuantile(a: number, q: number): number {
  if (q > 0.5) return 1 - symmetricBetaQuantile(a, 1 - q);
  const integral = 2 * q * incompleteBeta(a, 0.5);
  let [low, high] = [0, 0.5];
  for (let middle = 0.25; middle > low && middle < high; middle = (low + high) / 2) {
    if (incompleteBeta(a, middle) < integral) low = middle;
    else high = middle;
  }
  return high;
}

/** ∫ (u (1 − u))^(a − 1) du from 0 to x ≤ 1/2, by the binomial series of (1 − u)^(a − 1). */
function incompleteBeta(a: number, x: number): number {
  let coefficient = 1;
  let sum = 0;
  for (let n = 0; ; n++) {
    const term = coefficient / (a + n);
    if (sum + term === sum) return x ** a * sum;
    sum += term;
    coefficient *= (x * (n + 1 - a)) / (n + 1);
  }
}
