/**
 * Damaged safetensors files: whatever the damage, the reader gives sound tensors or throws InputError. A short form
 * runs with all tests; FUZZ_RUNS sets the number of inputs.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import { allocate, type DType } from '../../src/graph/dtype.ts';
import type { HostTensor } from '../../src/graph/host-tensor.ts';
import { elementCount } from '../../src/graph/shape.ts';
import {
  encodeSafetensors,
  parseSafetensors,
  type SafetensorsContent,
} from '../../src/weights/safetensors.ts';

const numRuns = Number(process.env.FUZZ_RUNS ?? 1500);

const dtypes: DType[] = [
  'float32',
  'float64',
  'float16',
  'bfloat16',
  'int64',
  'int32',
  'int8',
  'uint8',
  'bool',
];

const validFile = fc
  .tuple(
    fc.dictionary(
      fc.string({ maxLength: 8 }).filter((name) => name !== '__metadata__'),
      fc.record({ dtype: fc.constantFrom(...dtypes), shape: fc.array(fc.nat(3), { maxLength: 3 }) }),
      { maxKeys: 4 },
    ),
    fc.dictionary(fc.string({ maxLength: 4 }), fc.string({ maxLength: 4 }), { maxKeys: 2 }),
  )
  .map(([described, metadata]) => {
    const tensors = new Map<string, HostTensor>();
    for (const [name, { dtype, shape }] of Object.entries(described)) {
      tensors.set(name, { dtype, shape, data: allocate(dtype, elementCount(shape)) });
    }
    return encodeSafetensors(tensors, metadata);
  });

type Mutation = (bytes: Uint8Array) => Uint8Array;

/** Replaces `[at, at + removed)` by `inserted`; `at` is a fraction of the length. */
function splice(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array): Uint8Array {
  const start = Math.floor(at * bytes.length);
  return Uint8Array.from([...bytes.subarray(0, start), ...inserted, ...bytes.subarray(start + removed)]);
}

const place = fc.double({ min: 0, max: 1, noNaN: true });
const headerText = fc.constantFrom(
  ...[
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    '"a":',
    '0',
    '-1',
    '1.0',
    '1e3',
    '9007199254740993',
    '18446744073709551616',
  ],
  ...['"F32"', '"F8_E4M3"', '"shape":', '"dtype":', '"data_offsets":', '"__metadata__":', 'null', '{}', '[]'],
  ...[
    '"\\ud800"',
    '\u0000',
    '\ufeff',
    ' ',
    '"__proto__":{},',
    '"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},',
  ],
);

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.tuple(place, fc.integer({ min: 0, max: 255 })).map(
    ([at, byte]) =>
      (b: Uint8Array) =>
        splice(b, at, 1, Uint8Array.of(byte)),
  ),
  fc.tuple(place, fc.nat(20)).map(
    ([at, removed]) =>
      (b: Uint8Array) =>
        splice(b, at, removed, new Uint8Array()),
  ),
  place.map((at) => (b: Uint8Array) => b.slice(0, Math.floor(at * b.length))),
  fc.tuple(place, fc.nat(6), headerText).map(
    ([at, removed, text]) =>
      (b: Uint8Array) =>
        splice(b, at, removed, new TextEncoder().encode(text)),
  ),
  fc.uint8Array({ maxLength: 16 }).map((tail) => (b: Uint8Array) => Uint8Array.from([...b, ...tail])),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((length) => (b: Uint8Array) => withHeaderLength(b, length)),
);

/** Makes the claimed length fit again, so that what lies behind it is reached. */
const repairLength: Mutation = (bytes) => {
  const end = bytes.lastIndexOf('}'.charCodeAt(0));
  return end < 8 ? bytes : withHeaderLength(bytes, BigInt(end - 7));
};

function withHeaderLength(bytes: Uint8Array, length: bigint): Uint8Array {
  const copy = bytes.slice();
  if (copy.length >= 8) new DataView(copy.buffer).setBigUint64(0, length, true);
  return copy;
}

it(`gives sound tensors or an InputError for ${numRuns} damaged files`, () => {
  const outcomes = { sound: 0, refused: 0 };
  const damage = fc.array(mutation, { minLength: 0, maxLength: 4 });
  fc.assert(
    fc.property(validFile, damage, fc.boolean(), (valid, mutations, repair) => {
      let bytes = mutations.reduce((damaged, mutate) => mutate(damaged), valid);
      if (repair) bytes = repairLength(bytes);
      let content: SafetensorsContent;
      try {
        content = parseSafetensors(bytes, 'damaged.safetensors');
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        expect(error.message).toMatch(/^damaged\.safetensors /);
        outcomes.refused++;
        return;
      }
      outcomes.sound++;
      for (const { shape, data } of content.tensors.values()) expect(data.length).toBe(elementCount(shape));
      const again = parseSafetensors(encodeSafetensors(content.tensors, content.metadata));
      expect(again.metadata).toEqual(content.metadata);
      expect([...again.tensors.keys()].sort()).toEqual([...content.tensors.keys()].sort());
    }),
    { numRuns },
  );
  expect(outcomes.sound).toBeGreaterThan(0);
  expect(outcomes.refused).toBeGreaterThan(0);
});
