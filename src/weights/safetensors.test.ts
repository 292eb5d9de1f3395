import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { encodeSafetensors, parseSafetensors } from './safetensors.ts';

/** A file from a header text and its data. */
function file(header: string | Uint8Array, dataBytes = 0, claimedLength?: bigint): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, claimedLength ?? BigInt(json.byteLength), true);
  bytes.set(json, 8);
  return bytes;
}

const entry = (fields: Record<string, unknown> = {}) =>
  JSON.stringify({ dtype: 'F32', shape: [2], data_offsets: [0, 8], ...fields });

const everyType = new Map<string, HostTensor>([
  ['d', hostTensor(Float64Array.of(1.5, -2), [2])],
  ['f', hostTensor(Float32Array.of(0.1, -0, Infinity, 3, 4, 5), [2, 3])],
  ['h', hostTensor(Uint16Array.of(0x3c00), [1], 'float16')],
  ['b', hostTensor(Uint16Array.of(0x3f80, 1, 2), [3, 1], 'bfloat16')],
  ['l', hostTensor(BigInt64Array.of(-(2n ** 63n), 5n), [2])],
  ['i', hostTensor(Int32Array.of(-7), [])],
  ['s', hostTensor(Int8Array.of(-1, 2, 3), [3])],
  ['u', hostTensor(Uint8Array.of(255), [1, 1])],
  ['t', hostTensor(Uint8Array.of(1, 0), [2], 'bool')],
  ['empty', hostTensor(new Float32Array(0), [3, 0])],
]);

describe('a safetensors file', () => {
  it('keeps tensors of every type and its metadata', () => {
    const bytes = encodeSafetensors(everyType, { format: 'pt', note: 'a "quoted" line\nand another' });
    const { tensors, metadata } = parseSafetensors(bytes);
    expect(Object.fromEntries(tensors)).toEqual(Object.fromEntries(everyType));
    expect(metadata).toEqual({ format: 'pt', note: 'a "quoted" line\nand another' });
  });

  it('is the same whatever the order of its tensors, with aligned data', () => {
    const backwards = new Map([...everyType].reverse());
    const bytes = encodeSafetensors(everyType, { b: '2', a: '1' });
    expect(encodeSafetensors(backwards, { a: '1', b: '2' })).toEqual(bytes);
    expect(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8).toBe(0);
  });

  it('has the bytes that the reference implementation writes', () => {
    const url = new URL('../../tests/fixtures/safetensors/every-type.safetensors', import.meta.url);
    const reference = new Uint8Array(readFileSync(url));
    const { tensors, metadata } = parseSafetensors(reference);
    expect(tensors.size).toBeGreaterThan(8);
    expect(encodeSafetensors(tensors, metadata)).toEqual(reference);
  });

  it('keeps names that JavaScript objects treat specially', () => {
    const tensors = new Map(
      ['10', '2', '__proto__', 'constructor', 'é"\\'].map((name) => [
        name,
        hostTensor(Float32Array.of(1), [1]),
      ]),
    );
    expect(new Set(parseSafetensors(encodeSafetensors(tensors)).tensors.keys())).toEqual(
      new Set(tensors.keys()),
    );
  });

  it('may hold nothing', () => {
    expect(parseSafetensors(encodeSafetensors(new Map())).tensors.size).toBe(0);
    expect(parseSafetensors(file('{"__metadata__":null}')).metadata).toEqual({});
  });
});

describe('a file is refused', () => {
  const cases: Record<string, [Uint8Array, RegExp]> = {
    'when it is empty': [new Uint8Array(0), /0 bytes/],
    'when it is too short for a length': [new Uint8Array(7), /7 bytes/],
    'when its header would not fit': [file('{}', 0, 3n), /claims 3 bytes but only 2 follow/],
    'when its header is too long to be true': [file('{}', 0, 2n ** 63n), /at most 100000000/],
    'when its header is empty': [file(''), /does not begin with "\{"/],
    'with a leading space': [file(' {}'), /does not begin/],
    'with an array for a header': [file('[]'), /does not begin/],
    'when its header is not JSON': [file('{"a":}'), /not JSON/],
    'when text follows the header': [file('{}x'), /not JSON/],
    'when its header is not UTF-8': [file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), /UTF-8/],
    'with half a surrogate pair': [file(`{"\\ud800":${entry()}}`, 8), /surrogate/],
    'with a tensor twice': [file(`{"a":${entry()},"a":${entry()}}`, 8), /the key "a" twice/],
    'with a field twice': [
      file('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8),
      /twice/,
    ],
    'with a tensor twice, once escaped': [file(`{"a":${entry()},"\\u0061":${entry()}}`, 8), /twice/],
    'with metadata that are not texts': [file('{"__metadata__":{"a":1}}'), /"a"/],
    'with metadata that are not an object': [file('{"__metadata__":[]}'), /__metadata__/],
    'with a tensor that is no object': [file('{"a":3}'), /tensor "a"/],
    'with an 8-bit float that is to be read': [
      file(`{"a":${entry({ dtype: 'F8_E4M3', shape: [8] })}}`, 8),
      /"a".*F8_E4M3, which is not read/,
    ],
    'with 8-bit floats of another size than their shape': [
      file(`{"a":${entry({ dtype: 'F8_E4M3', shape: [7] })}}`, 8),
      /8 bytes, but F8_E4M3 \[7\] needs 7/,
    ],
    'with 4-bit floats of another size than their shape': [
      file(`{"a":${entry({ dtype: 'F4', shape: [17] })}}`, 8),
      /8 bytes, but F4 \[17\] needs 8.5/,
    ],
    'with a type called toString': [file(`{"a":${entry({ dtype: 'toString' })}}`, 8), /"toString"/],
    'without a type': [file(`{"a":${entry({ dtype: undefined })}}`, 8), /element type/],
    'without a shape': [file(`{"a":${entry({ shape: undefined })}}`, 8), /"a".*shape/],
    'with a negative size': [file(`{"a":${entry({ shape: [-2] })}}`, 8), /-2/],
    'with a fractional size': [file('{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}', 8), /2\.0/],
    'with a size in scientific notation': [
      file('{"a":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}', 8),
      /2e0/,
    ],
    'with a shape too large to count': [
      file(`{"a":${entry({ shape: [2 ** 31, 2 ** 31] })}}`, 8),
      /addressed/,
    ],
    'with a size beyond exact integers': [
      file('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,8]}}', 8),
      /shape/,
    ],
    'when shape and range disagree': [
      file(`{"a":${entry({ shape: [3] })}}`, 8),
      /8 bytes, but float32 \[3\] needs 12/,
    ],
    'when a range is backwards': [file(`{"a":${entry({ data_offsets: [8, 0] })}}`, 8), /8 to 0/],
    'when a range ends behind the file': [file(`{"a":${entry()}}`, 7), /cut off/],
    'with one offset': [file(`{"a":${entry({ data_offsets: [0] })}}`, 8), /data_offsets/],
    'with a gap': [file(`{"a":${entry({ data_offsets: [4, 12] })}}`, 12), /expected 0/],
    'with overlapping tensors': [
      file(`{"a":${entry()},"b":${entry({ data_offsets: [4, 12] })}}`, 12),
      /"b" begins at byte 4/,
    ],
    'with bytes behind the last tensor': [
      file(`{"a":${entry()}}`, 9),
      /end at byte 8 of the data, which has 9/,
    ],
  };
  for (const [name, [bytes, message]] of Object.entries(cases)) {
    it(name, () => {
      const parse = () => parseSafetensors(bytes, 'some/model.safetensors');
      expect(parse).toThrow(InputError);
      expect(parse).toThrow(/^some\/model\.safetensors /);
      expect(parse).toThrow(message);
    });
  }

  it.each<[string, (length: number) => string, RegExp]>([
    ['is nested', (n) => `{"a":${'['.repeat(n / 2)}${']'.repeat(n / 2)}}`, /column 6: expected an object/],
    ['is nested in a field', (n) => `{"a":{"b":${'['.repeat(n)}`, /expected no more lists and objects/],
    ['holds small objects', (n) => `{"a":[${'{},'.repeat(n / 3)}{}]}`, /column 6: expected an object/],
    ['has a shape of many axes', (n) => `{"a":{"shape":[${'1,'.repeat(n / 2)}1]}}`, /at most 64 numbers/],
    ['has many keys', (n) => `{${'"a":0,'.repeat(n / 6)}"b":0}`, /column 6: expected an object/],
    ['is all line breaks', (n) => `{${'\n'.repeat(n)}`, /expected a key in double quotes, found the end/],
    [
      'has more tensors than any model',
      (n) =>
        `{${Array.from({ length: n / 70 }, (_, i) => `"${i}":${entry({ shape: [0], data_offsets: [0, 0] })}`)}}`,
      /more than 262144 tensors/,
    ],
  ])('at once when a header of tens of megabytes %s', (_, header, message) => {
    const bytes = file(header(40_000_000), 8);
    expect(() => parseSafetensors(bytes)).toThrow(message);
  });

  it('when its only key is tens of megabytes long, without overflowing the stack', () => {
    const bytes = file(`{"${'\\n'.repeat(20_000_000)}":1}`);
    expect(() => parseSafetensors(bytes)).toThrow(InputError);
  });
});

describe('writing refuses', () => {
  it('a tensor with the name of the metadata', () => {
    expect(() => encodeSafetensors(new Map([['__metadata__', hostTensor(Float32Array.of(1), [1])]]))).toThrow(
      RangeError,
    );
  });
});
