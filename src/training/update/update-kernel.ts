/** The loops of an update over one block of numbers: as plain ones, and four numbers at a time. */

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

export interface UpdateKernel {
  /** result ← factor · (a + b). Returns its sum of squares, in which NaN and infinity show. */
  scaledSum(result: Float32Array, a: Float32Array, b: Float32Array, factor: number): number;
  /** Updates parameters `p`, first moments `m` and second moments `v` in place from the gradient `g`. */
  adamW(p: Float32Array, g: Float32Array, m: Float32Array, v: Float32Array, constants: AdamWConstants): void;
  /** average ← decay · average + (1 − decay) · values. */
  follow(average: Float32Array, values: Float32Array, decay: number): void;
}

/** The specification: what the fast kernel must agree with. */
export const plainUpdateKernel: UpdateKernel = {
  scaledSum(result, a, b, factor) {
    let squares = 0;
    for (let i = 0; i < result.length; i++) {
      result[i] = (a[i]! + b[i]!) * factor;
      squares += result[i]! ** 2;
    }
    return squares;
  },
  adamW(p, g, m, v, constants) {
    const { gradientScale, keep, beta1, beta2, stepSize, secondMomentScale, epsilon } = constants;
    for (let i = 0; i < p.length; i++) {
      const gradient = g[i]! * gradientScale;
      const first = beta1 * m[i]! + (1 - beta1) * gradient;
      const second = beta2 * v[i]! + (1 - beta2) * gradient * gradient;
      m[i] = first;
      v[i] = second;
      p[i] = keep * p[i]! - (stepSize * first) / (Math.sqrt(second) * secondMomentScale + epsilon);
    }
  },
  follow(average, values, decay) {
    for (let i = 0; i < average.length; i++) average[i] = decay * average[i]! + (1 - decay) * values[i]!;
  },
};

/** Places in the memory of the WebAssembly functions, one block each. */
const [P, G, M, V] = [0, 1, 2, 3] as const;
const BLOCKS = 4;

/**
 * The same in float32 as WebAssembly functions with SIMD, several times as fast. Blocks of up to `block` elements are
 * copied into their memory and back, which costs little as long as they stay in the processor's cache.
 */
export function createUpdateKernel(block: number): UpdateKernel {
  const size = Math.ceil(block / 4) * 4;
  const { memory, scaledSum, adamW, follow } = new WebAssembly.Instance(
    new WebAssembly.Module(assemble(size)),
  ).exports as {
    memory: WebAssembly.Memory;
    scaledSum: (bytes: number, factor: number) => number;
    adamW: (bytes: number, ...constants: number[]) => void;
    follow: (bytes: number, decay: number, take: number) => void;
  };
  const places = Array.from(
    { length: BLOCKS },
    (_, i) => new Float32Array(memory.buffer, 4 * size * i, size),
  );
  /** Copies blocks of one length in, and gives the bytes to go over: whole fours, filled up with zeros. */
  const put = (...arrays: readonly [place: number, values: Float32Array][]): number => {
    const { length } = arrays[0]![1];
    if (length > size) throw new RangeError(`a block of ${length} elements, at most ${size} fit`);
    const whole = Math.ceil(length / 4) * 4;
    for (const [place, values] of arrays) {
      places[place]!.set(values);
      places[place]!.fill(0, length, whole);
    }
    return 4 * whole;
  };
  const take = (array: Float32Array, place: number) => array.set(places[place]!.subarray(0, array.length));
  return {
    scaledSum(result, a, b, factor) {
      const squares = scaledSum(put([P, a], [G, b]), factor);
      take(result, P);
      return squares;
    },
    adamW(p, g, m, v, constants) {
      const { gradientScale, keep, beta1, beta2, stepSize, secondMomentScale, epsilon } = constants;
      adamW(
        put([P, p], [G, g], [M, m], [V, v]),
        ...[gradientScale, keep, beta1, 1 - beta1, beta2, 1 - beta2, stepSize, secondMomentScale, epsilon],
      );
      take(p, P);
      take(m, M);
      take(v, V);
    },
    follow(average, values, decay) {
      follow(put([P, average], [G, values]), decay, 1 - decay);
      take(average, P);
    },
  };
}

// WebAssembly's types, and the numbers of its SIMD operations.
const I32 = 0x7f;
const F32 = 0x7d;
const F64 = 0x7c;
const V128 = 0x7b;
const [SQRT, ADD, SUBTRACT, MULTIPLY, DIVIDE] = [0xe3, 0xe4, 0xe5, 0xe6, 0xe7] as const;
const [ADD_DOUBLES, MULTIPLY_DOUBLES] = [0xf0, 0xf2] as const;

/** A function over blocks: what it is given besides `bytes`, and what it does with the four numbers at `at`. */
interface BlockFunction {
  readonly name: string;
  readonly constants: readonly string[];
  /** Values of four floats or two doubles, zeros at first. */
  readonly locals: readonly string[];
  readonly body: (code: Code) => number[];
  /** A double that is left on the stack at the end. */
  readonly result?: (code: Code) => number[];
}

interface Code {
  get(name: string): number[];
  set(name: string, value: number[]): number[];
  /** A constant four times. */
  splat(name: string): number[];
  load(place: number): number[];
  store(place: number, value: number[]): number[];
}

const simd = (operation: number, ...operands: number[][]) => [...operands.flat(), 0xfd, operation, 0x01];
/** Two floats of four as doubles: the lower ones, or the upper ones brought down first. */
const lowerDoubles = (value: number[]) => [...value, 0xfd, 0x5f];
const upperDoubles = (value: number[]) =>
  lowerDoubles([...value, ...value, 0xfd, 0x0d, ...Array.from({ length: 16 }, (_, i) => (i + 8) % 16)]);
const lane = (value: number[], index: number) => [...value, 0xfd, 0x21, index];

const functions: readonly BlockFunction[] = [
  {
    name: 'scaledSum',
    constants: ['factor'],
    locals: ['value', 'doubles', 'lower', 'upper'],
    body: ({ get, set, splat, load, store }) => [
      ...set('value', simd(MULTIPLY, simd(ADD, load(P), load(G)), splat('factor'))),
      ...store(P, get('value')),
      ...(
        [
          ['lower', lowerDoubles],
          ['upper', upperDoubles],
        ] as const
      ).flatMap(([sum, doubles]) => [
        ...set('doubles', doubles(get('value'))),
        ...set(sum, simd(ADD_DOUBLES, get(sum), simd(MULTIPLY_DOUBLES, get('doubles'), get('doubles')))),
      ]),
    ],
    result: ({ get, set }) => [
      ...set('lower', simd(ADD_DOUBLES, get('lower'), get('upper'))),
      ...[...lane(get('lower'), 0), ...lane(get('lower'), 1), 0xa0],
    ],
  },
  {
    name: 'adamW',
    constants: [
      ...['gradientScale', 'keep', 'beta1', 'oneMinusBeta1', 'beta2', 'oneMinusBeta2'],
      ...['stepSize', 'secondMomentScale', 'epsilon'],
    ],
    locals: ['gradient', 'first', 'second'],
    body: ({ get, set, splat, load, store }) => [
      ...set('gradient', simd(MULTIPLY, load(G), splat('gradientScale'))),
      ...set(
        'first',
        simd(
          ADD,
          simd(MULTIPLY, load(M), splat('beta1')),
          simd(MULTIPLY, get('gradient'), splat('oneMinusBeta1')),
        ),
      ),
      ...store(M, get('first')),
      ...set(
        'second',
        simd(
          ADD,
          simd(MULTIPLY, load(V), splat('beta2')),
          simd(MULTIPLY, simd(MULTIPLY, get('gradient'), splat('oneMinusBeta2')), get('gradient')),
        ),
      ),
      ...store(V, get('second')),
      ...store(
        P,
        simd(
          SUBTRACT,
          simd(MULTIPLY, load(P), splat('keep')),
          simd(
            DIVIDE,
            simd(MULTIPLY, get('first'), splat('stepSize')),
            simd(
              ADD,
              simd(MULTIPLY, simd(SQRT, get('second')), splat('secondMomentScale')),
              splat('epsilon'),
            ),
          ),
        ),
      ),
    ],
  },
  {
    name: 'follow',
    constants: ['decay', 'take'],
    locals: [],
    body: ({ splat, load, store }) =>
      store(P, simd(ADD, simd(MULTIPLY, load(P), splat('decay')), simd(MULTIPLY, load(G), splat('take')))),
  },
];

/** A module with the blocks one after the other in its memory, `size` elements each. */
function assemble(size: number): Uint8Array<ArrayBuffer> {
  const pages = Math.ceil((4 * BLOCKS * size) / 65_536);
  const types = functions.map(({ constants, result }) => [
    ...[0x60, 1 + constants.length, I32, ...constants.map(() => F32)],
    ...(result ? [1, F64] : [0]),
  ]);
  const exported = functions.map(({ name }, i) => [...text(name), 0, i]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list(types)),
    ...section(3, list(functions.map((_, i) => [i]))),
    ...section(5, [1, 0, ...unsigned(pages)]), // memory
    ...section(7, list([[...text('memory'), 2, 0], ...exported])),
    ...section(10, list(functions.map((one) => sized(functionCode(one, size))))),
  ]);
}

function functionCode({ constants, locals, body, result }: BlockFunction, size: number): number[] {
  const names = ['bytes', ...constants, 'at', ...locals];
  const get = (name: string) => [0x20, names.indexOf(name)];
  const set = (name: string, value: number[]) => [...value, 0x21, names.indexOf(name)];
  const place = (index: number) => [4, ...unsigned(4 * size * index)];
  const code: Code = {
    get,
    set,
    splat: (name) => [...get(name), 0xfd, 0x13],
    load: (index) => [...get('at'), 0xfd, 0x00, ...place(index)],
    store: (index, value) => [...get('at'), ...value, 0xfd, 0x0b, ...place(index)],
  };
  return [
    ...list([[1, I32], ...(locals.length > 0 ? [[locals.length, V128]] : [])]),
    ...[0x02, 0x40, 0x03, 0x40], // block, loop
    ...[...get('at'), ...get('bytes'), 0x4f, 0x0d, 1], // at ≥ bytes: leave the block
    ...body(code),
    ...set('at', [...get('at'), 0x41, 16, 0x6a]), // four elements on
    ...[0x0c, 0, 0x0b, 0x0b], // again; ends of loop and block
    ...[...(result?.(code) ?? []), 0x0b],
  ];
}

function section(id: number, content: number[]): number[] {
  return [id, ...sized(content)];
}

function list(items: readonly number[][]): number[] {
  return [items.length, ...items.flat()];
}

function text(value: string): number[] {
  return sized([...new TextEncoder().encode(value)]);
}

function sized(content: number[]): number[] {
  return [...unsigned(content.length), ...content];
}

/** LEB128: seven bits a byte, the lowest first. */
function unsigned(value: number): number[] {
  const low = value & 0x7f;
  return value < 0x80 ? [low] : [low | 0x80, ...unsigned(value >>> 7)];
}
