/**
 * Conversions between float32 and the two 16-bit formats, exact one way, to the nearest (ties to even) the other.
 * float16 is IEEE 754 binary16 (5 exponent and 10 fraction bits), bfloat16 the upper half of a float32.
 */

/** Exact. Infinities, NaN payloads and signed zeros are kept. */
export function float16ToFloat32(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i]!;
    const sign = (half & 0x8000) << 16;
    let exponent = (half >> 10) & 0x1f;
    let fraction = half & 0x3ff;
    if (exponent === 0x1f) {
      out[i] = sign | 0x7f800000 | (fraction << 13);
    } else if (exponent === 0 && fraction === 0) {
      out[i] = sign;
    } else {
      if (exponent === 0) {
        // A subnormal half is a normal float32: move its leading bit to the implicit place.
        const shift = Math.clz32(fraction) - 21;
        fraction = (fraction << shift) & 0x3ff;
        exponent = 1 - shift;
      }
      out[i] = sign | ((exponent + 112) << 23) | (fraction << 13);
    }
  }
  return new Float32Array(out.buffer);
}

/** To the nearest, ties to even; beyond ±65504 to infinity from halfway to the next step on. NaN stays NaN. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const word = bits[i]!;
    const sign = (word >>> 16) & 0x8000;
    const magnitude = word & 0x7fffffff;
    if (magnitude > 0x7f800000) {
      out[i] = sign | 0x7e00 | ((magnitude >> 13) & 0x3ff);
    } else if (magnitude >= 0x47800000) {
      out[i] = sign | 0x7c00;
    } else if (magnitude >= 0x38800000) {
      // Normal. The carry of the rounding may run into the exponent, up to infinity: that is what is wanted.
      out[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
    } else if (magnitude >= 0x33000000) {
      // Subnormal: the fraction, with its implicit bit, in units of 2^-24.
      const shift = 126 - (magnitude >> 23);
      const fraction = (magnitude & 0x7fffff) | 0x800000;
      const truncated = fraction >> shift;
      const rest = fraction & ((1 << shift) - 1);
      const half = 1 << (shift - 1);
      out[i] = sign | (truncated + (rest > half || (rest === half && (truncated & 1) === 1) ? 1 : 0));
    } else {
      out[i] = sign;
    }
  }
  return out;
}

/** Exact. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

/** To the nearest, ties to even. NaN stays NaN. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const word = bits[i]!;
    const nan = (word & 0x7fffffff) > 0x7f800000;
    out[i] = nan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return out;
}
