/** The element-wise part of AdamW over one block of parameters: as a plain loop, and four numbers at a time. */

export interface AdamWConstants {
  /** Factor of clipping. */
  readonly gradientScale: number;
  /** 1 − learning rate · weight decay. */
  readonly keep: number;
  readonly beta1: number;
  readonly beta2: number;
  /** learning rate / (1 − β₁ᵗ). */
  readonly stepSize: number;
  /** 1 / √(1 − β₂ᵗ). */
  readonly secondMomentScale: number;
  readonly epsilon: number;
}

/** Updates parameters `p`, first moments `m` and second moments `v` in place from the gradient `g`. */
export type AdamWKernel = (
  p: Float32Array,
  g: Float32Array,
  m: Float32Array,
  v: Float32Array,
  constants: AdamWConstants,
) => void;

/** The specification: what the fast kernel must agree with. */
export const plainAdamWKernel: AdamWKernel = (p, g, m, v, constants) => {
  const { gradientScale, keep, beta1, beta2, stepSize, secondMomentScale, epsilon } = constants;
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i]! * gradientScale;
    const first = beta1 * m[i]! + (1 - beta1) * gradient;
    const second = beta2 * v[i]! + (1 - beta2) * gradient * gradient;
    m[i] = first;
    v[i] = second;
    p[i] = keep * p[i]! - (stepSize * first) / (Math.sqrt(second) * secondMomentScale + epsilon);
  }
};

/**
 * The same in float32 as a WebAssembly function with SIMD, about four times as fast. Blocks of up to `block` elements
 * are copied into its memory and back, which costs little as long as they stay in the processor's cache.
 */
export function createAdamWKernel(block: number): AdamWKernel {
  const size = Math.ceil(block / 4) * 4;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(assemble(size)));
  const { memory, adamw } = instance.exports as {
    memory: WebAssembly.Memory;
    adamw: (bytes: number, ...constants: number[]) => void;
  };
  const [pBlock, gBlock, mBlock, vBlock] = [0, 1, 2, 3].map(
    (i) => new Float32Array(memory.buffer, 4 * size * i, size),
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];

  return (p, g, m, v, constants) => {
    const { gradientScale, keep, beta1, beta2, stepSize, secondMomentScale, epsilon } = constants;
    const { length } = p;
    if (length > size) throw new RangeError(`a block of ${length} elements, at most ${size} fit`);
    pBlock.set(p);
    gBlock.set(g);
    mBlock.set(m);
    vBlock.set(v);
    const bytes = Math.ceil(length / 4) * 16; // what lies beyond the block is computed too, and not looked at
    adamw(
      bytes,
      gradientScale,
      keep,
      beta1,
      1 - beta1,
      beta2,
      1 - beta2,
      stepSize,
      secondMomentScale,
      epsilon,
    );
    p.set(pBlock.subarray(0, length));
    m.set(mBlock.subarray(0, length));
    v.set(vBlock.subarray(0, length));
  };
}

/** Places of the function's parameters and locals. */
const LOCAL = {
  bytes: 0,
  gradientScale: 1,
  keep: 2,
  beta1: 3,
  oneMinusBeta1: 4,
  beta2: 5,
  oneMinusBeta2: 6,
  stepSize: 7,
  secondMomentScale: 8,
  epsilon: 9,
  at: 10,
  gradient: 11,
  first: 12,
  second: 13,
} as const;
type LocalName = keyof typeof LOCAL;

/** A module with the four arrays one after the other in its memory, `size` elements each. */
function assemble(size: number): Uint8Array<ArrayBuffer> {
  const get = (name: LocalName) => [0x20, LOCAL[name]];
  const set = (name: LocalName) => [0x21, LOCAL[name]];
  const splat = (name: LocalName) => [...get(name), 0xfd, 0x13];
  const load = (array: number) => [...get('at'), 0xfd, 0x00, 4, ...unsigned(4 * size * array)];
  const store = (array: number, value: number[]) => [
    ...get('at'),
    ...value,
    ...[0xfd, 0x0b, 4, ...unsigned(4 * size * array)],
  ];
  const [sqrt, add, subtract, multiply, divide] = [0xe3, 0xe4, 0xe5, 0xe6, 0xe7].map(
    (code) =>
      (...operands: number[][]) => [...operands.flat(), 0xfd, code, 0x01],
  ) as [Op, Op, Op, Op, Op];
  const [P, G, M, V] = [0, 1, 2, 3] as const;

  const body = [
    ...[0x02, 0x40, 0x03, 0x40], // block, loop
    ...[...get('at'), ...get('bytes'), 0x4f, 0x0d, 1], // at ≥ bytes: leave the block
    ...[...multiply(load(G), splat('gradientScale')), ...set('gradient')],
    ...add(multiply(load(M), splat('beta1')), multiply(get('gradient'), splat('oneMinusBeta1'))),
    ...[...set('first'), ...store(M, get('first'))],
    ...add(
      multiply(load(V), splat('beta2')),
      multiply(multiply(get('gradient'), splat('oneMinusBeta2')), get('gradient')),
    ),
    ...[...set('second'), ...store(V, get('second'))],
    ...store(
      P,
      subtract(
        multiply(load(P), splat('keep')),
        divide(
          multiply(get('first'), splat('stepSize')),
          add(multiply(sqrt(get('second')), splat('secondMomentScale')), splat('epsilon')),
        ),
      ),
    ),
    ...[...get('at'), 0x41, 16, 0x6a, ...set('at')], // four elements on
    ...[0x0c, 0, 0x0b, 0x0b, 0x0b], // again; ends of loop, block and function
  ];
  const I32 = 0x7f;
  const F32 = 0x7d;
  const V128 = 0x7b;
  const pages = Math.ceil((16 * size) / 65_536);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 10, I32, ...new Array<number>(9).fill(F32), 0]), // the function's type
    ...section(3, [1, 0]),
    ...section(5, [1, 0, ...unsigned(pages)]), // memory
    ...section(7, [2, ...name('memory'), 2, 0, ...name('adamw'), 0, 0]), // exports
    ...section(10, [1, ...sized([2, 1, I32, 3, V128, ...body])]),
  ]);
}

type Op = (...operands: number[][]) => number[];

function section(id: number, content: number[]): number[] {
  return [id, ...sized(content)];
}

function name(text: string): number[] {
  return sized([...new TextEncoder().encode(text)]);
}

function sized(content: number[]): number[] {
  return [...unsigned(content.length), ...content];
}

/** LEB128: seven bits a byte, the lowest first. */
function unsigned(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...unsigned(value >>> 7)];
}
