import { describe, expect, it } from 'vitest';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from './float16.ts';

const everyPattern = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

/** The value of a 16-bit pattern from the definition of the format. */
function patternValue(bits: number, exponentBits: number): number {
  const fractionBits = 15 - exponentBits;
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = bits & (2 ** fractionBits - 1);
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias - fractionBits);
  return sign * (1 + fraction / 2 ** fractionBits) * 2 ** (exponent - bias);
}

const formats = [
  { name: 'float16', exponentBits: 5, widen: float16ToFloat32, narrow: float32ToFloat16 },
  { name: 'bfloat16', exponentBits: 8, widen: bfloat16ToFloat32, narrow: float32ToBfloat16 },
];

describe.each(formats)('$name', ({ exponentBits, widen, narrow }) => {
  const infinity = (2 ** exponentBits - 1) << (15 - exponentBits);

  it('widens every pattern to its value', () => {
    const wide = widen(everyPattern);
    const wrong = everyPattern.filter((bits) => !Object.is(wide[bits], patternValue(bits, exponentBits)));
    expect(wrong).toEqual(new Uint16Array());
  });

  it('narrows every value that it has to the same pattern, and NaN to NaN', () => {
    const back = narrow(widen(everyPattern));
    const isNan = (bits: number) => (bits & 0x7fff) > infinity;
    const wrong = everyPattern.filter((bits) => (isNan(bits) ? !isNan(back[bits]!) : back[bits] !== bits));
    expect(wrong).toEqual(new Uint16Array());
  });

  it('narrows NaNs whose payload lies in the lower half to NaN', () => {
    const nans = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001).buffer);
    for (const bits of narrow(nans)) expect(bits & 0x7fff).toBeGreaterThan(infinity);
  });

  it('rounds to the nearest and ties to even between all neighbours', () => {
    let wrong = 0;
    for (let low = 0; low < infinity; low++) {
      // The step beyond the largest finite value has the width of the one before it.
      const below = patternValue(low, exponentBits);
      const step =
        low + 1 === infinity
          ? below - patternValue(low - 1, exponentBits)
          : patternValue(low + 1, exponentBits) - below;
      // Exact in float32 except beside the largest bfloat16, where the upper value would be float32's infinity.
      const middle = Math.fround(below + step / 2);
      const words = new Uint32Array(Float32Array.of(middle).buffer);
      const around = new Float32Array(Uint32Array.of(words[0]! - 1, words[0]!, words[0]! + 1).buffer);
      const even = low % 2 === 0 ? low : low + 1;
      const expected = [low, even, low + 1];
      const positive = narrow(around);
      const negative = narrow(around.map((x) => -x));
      for (let i = 0; i < 3; i++) {
        if (positive[i] !== expected[i] || negative[i] !== (expected[i]! | 0x8000)) wrong++;
      }
    }
    expect(wrong).toBe(0);
  });
});
