import { describe, expect, it } from 'vitest';
import { createReferenceEngine } from '../engines/reference/engine.ts';
import { InputError } from '../errors.ts';
import type { DType } from '../graph/dtype.ts';
import { hostTensor } from '../graph/host-tensor.ts';
import { add } from '../graph/operators/index.ts';
import { program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import { zerosInitializer } from '../layers/initializers.ts';
import type { Params } from '../layers/params.ts';
import { loadTensors } from './load-tensors.ts';
import { rowsOf } from './rows.ts';
import { paramsFromWeights, withPrefix } from './source.ts';
import type { Storage, Weight } from './weights.ts';

const stored = (dtype: DType, shape: Shape): Weight => ({
  dtype,
  shape,
  storage: { kind: 'bytes', bytes: new Uint8Array(64) },
});

const layer = (p: Params) =>
  add(p.weight('weight', [2, 3], zerosInitializer), p.weight('bias', [3], zerosInitializer));

/** A file that nobody reads. */
const source = { name: 'a', size: 1000, read: () => Promise.reject(new Error('read')) };

describe('a part of the rows', () => {
  it.each<[string, Storage, Storage]>([
    [
      'of a file',
      { kind: 'source', source, offset: 100, length: 48 },
      { kind: 'source', source, offset: 116, length: 16 },
    ],
    [
      'in memory',
      { kind: 'bytes', bytes: Uint8Array.from({ length: 48 }, (_, i) => i) },
      { kind: 'bytes', bytes: Uint8Array.from({ length: 16 }, (_, i) => 16 + i) },
    ],
  ])('%s stays where it is', (_, storage, part) => {
    const weight = { dtype: 'float32', shape: [6, 2], storage } as const;
    expect(rowsOf(weight, 1, 3)).toEqual({ dtype: 'float32', shape: [2, 2], storage: part });
    expect(() => rowsOf(weight, 0, 4)).toThrow(RangeError);
  });
});

describe('paramsFromWeights', () => {
  it('makes leaves of the stored type under the stored name, and float32 of them', () => {
    const weights = withPrefix(
      new Map([
        ['fc.weight', stored('float16', [2, 3])],
        ['fc.bias', stored('float32', [3])],
      ]),
      'student.',
    );
    const source = paramsFromWeights(weights, 'student.');
    const out = layer(source.params.in('fc'));
    const { parameters } = program({ out });
    expect(out.dtype).toBe('float32');
    expect(parameters.get('student.fc.weight')).toMatchObject({ dtype: 'float16', shape: [2, 3] });
    expect(parameters.get('student.fc.bias')).toMatchObject({ dtype: 'float32' });
    expect(source.missing).toEqual([]);
    expect(source.surplus).toEqual([]);
  });

  it('gives a weight that is asked for twice once', () => {
    const source = paramsFromWeights(new Map([['w', stored('float16', [2])]]));
    const ask = () => source.params.weight('w', [2], zerosInitializer);
    expect(ask()).toBe(ask());
    expect(program({ out: add(ask(), ask()) }).parameters.size).toBe(1);
  });

  it('tells all missing and all surplus weights after the model function ran', () => {
    const weights = new Map([
      ['a.weight', stored('float32', [2, 3])],
      ['a.extra', stored('float32', [1])],
      ['other.weight', stored('float32', [1])],
    ]);
    const source = paramsFromWeights(weights);
    layer(source.params.in('a'));
    for (let i = 0; i < 6; i++) layer(source.params.in(`b.${i}`));
    expect(source.missing).toHaveLength(13);
    expect(source.surplus).toEqual(['a.extra', 'other.weight']);
    const check = () => source.requireAll('unet/model.safetensors');
    expect(check).toThrow(InputError);
    expect(check).toThrow(
      /unet\/model\.safetensors lacks 13 of the 14 .*a\.bias, b\.0\.weight.* and 8 more.*a\.extra/,
    );
  });

  it('does not complain when nothing is missing', () => {
    const source = paramsFromWeights(new Map([['w', stored('bfloat16', [2])]]));
    source.params.weight('w', [2], zerosInitializer);
    source.requireAll('model');
    expect(source.surplus).toEqual([]);
  });

  it('refuses another shape, naming both', () => {
    const { params } = paramsFromWeights(new Map([['w', stored('float32', [3, 2])]]));
    const ask = () => params.weight('w', [2, 3], zerosInitializer);
    expect(ask).toThrow(InputError);
    expect(ask).toThrow(/w is stored with the shape \[3, 2\].*\[2, 3\]/);
  });

  it('turns a matrix that is stored the other way round, in the graph and on the host', async () => {
    const matrix = hostTensor(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
    const bytes = new Uint8Array(matrix.data.buffer);
    const weights = new Map([
      ['w', { ...matrix, storage: { kind: 'bytes', bytes }, transposed: true } as const],
    ]);
    const { params } = paramsFromWeights(weights);
    const graph = program({ w: params.weight('w', [2, 3], zerosInitializer) });
    const engine = createReferenceEngine();
    const executable = await engine.compile(graph, { weights });
    const turned = { dtype: 'float32', shape: [2, 3], data: Float32Array.of(1, 3, 5, 2, 4, 6) };
    expect((await executable.run({})).w).toEqual(turned);
    expect((await loadTensors(weights)).get('w')).toEqual(turned);
    expect(() => params.weight('w', [3, 2], zerosInitializer)).toThrow(/\[3, 2\].*asks for \[2, 3\]/);
  });

  it('refuses quantised weights', () => {
    const { params } = paramsFromWeights(new Map([['w', stored('int8', [2])]]));
    expect(() => params.weight('w', [2], zerosInitializer)).toThrow(/int8.*quantised/);
  });
});
