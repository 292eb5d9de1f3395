import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { ByteSource } from '../../files/files.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import {
  add,
  cast,
  clamp,
  gather,
  layerNorm,
  matmul,
  multiply,
  resizeNearest,
} from '../../graph/operators/index.ts';
import { program } from '../../graph/program.ts';
import { constant, filled, input, parameter } from '../../graph/tensor.ts';
import type { Weight } from '../../weights/weights.ts';
import { ModelProtoSchema } from './generated/onnx_pb.ts';
import { type SerializeOptions, serialize } from './serialize.ts';

function read(bytes: Uint8Array) {
  const model = fromBinary(ModelProtoSchema, bytes);
  return { model, graph: model.graph! };
}

function weight(shape: readonly number[], dtype: 'float32' | 'float16' = 'float32'): Weight {
  const length = shape.reduce((product, size) => product * size, dtype === 'float32' ? 4 : 2);
  return { dtype, shape, storage: { kind: 'bytes', bytes: new Uint8Array(length).fill(1) } };
}

/** Of a file that nobody reads. */
function localSource(path: string): ByteSource {
  return { name: path, path, size: 1000, read: () => Promise.reject(new Error('read')) };
}

function inFile(path: string, offset: number): Weight {
  return {
    dtype: 'float32',
    shape: [2, 2],
    storage: { kind: 'source', source: localSource(path), offset, length: 16 },
  };
}

test('names values after the program and operators after their place and type', () => {
  const x = input('x', [2, 3]);
  const y = matmul(add(x, 1), parameter('proj.weight', [3, 4]));
  const { model, graph } = read(serialize(program({ y }), { name: 'unet' }).bytes);
  expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([
    ['', 20n],
    ['com.microsoft', 1n],
  ]);
  expect(graph.name).toBe('unet');
  expect(graph.input.map(({ name }) => name)).toEqual(['x', 'proj.weight']);
  expect(graph.output.map(({ name }) => name)).toEqual(['y']);
  expect(graph.node.map(({ name, input, output }) => [name, input, output])).toEqual([
    ['op_0_Add', ['x', 'constant_0'], ['op_0_Add_output']],
    ['op_1_MatMul', ['op_0_Add_output', 'proj.weight'], ['y']],
  ]);
});

test('keeps every name unique, and the names of inputs and parameters as they are', () => {
  const [x, w] = [input('op_0_Mul', [1]), parameter('constant_0', [1])];
  const model = serialize(program({ op_0_Mul: multiply(x, 2), constant_0: multiply(w, 3) }));
  const { graph } = read(model.bytes);
  expect([...model.inputs.keys()]).toEqual(['op_0_Mul', 'constant_0']);
  const names = [...graph.input, ...graph.initializer]
    .map(({ name }) => name)
    .concat(graph.node.flatMap((n) => n.output));
  expect(new Set(names).size).toBe(names.length);
  expect([...model.outputs.keys()]).toEqual(['op_0_Mul', 'constant_0']);
  expect([...model.outputs.values()]).toEqual(graph.output.map(({ name }) => name));
});

test('leaves optional inputs and unread optional outputs empty', () => {
  const x = input('x', [1, 1, 2, 2]);
  const resized = resizeNearest(x, [4, 4]);
  const normalized = layerNorm(input('rows', [3, 2]), parameter('scale', [2]), undefined, 1e-5);
  const { graph } = read(serialize(program({ resized, normalized, clamped: clamp(x, 0, 1) })).bytes);
  const node = (type: string) => graph.node.find(({ opType }) => opType === type)!;
  expect(node('Resize').input.slice(0, 3)).toEqual(['x', '', '']);
  expect(node('LayerNormalization').output).toEqual(['normalized', '', '']);
});

test('binds the weights it is given, and casts those of another type', () => {
  const [a, b] = [parameter('a', [2, 2]), parameter('b', [2, 2])];
  const weights = new Map([['a', weight([2, 2], 'float16')]]);
  const model = serialize(program({ y: add(a, b) }), { weights });
  const { graph } = read(model.bytes);
  expect([...model.inputs.keys()]).toEqual(['b']);
  expect(graph.initializer.map(({ name, dataType, dims }) => [name, dataType, dims])).toEqual([
    ['a.float16', 10, [2n, 2n]],
  ]);
  expect(graph.node[0]).toMatchObject({ opType: 'Cast', input: ['a.float16'], output: ['a'] });
});

test('writes small values into the model, and has large ones and files brought along', () => {
  const weights = new Map([
    ['small', weight([16, 16])],
    ['large', weight([17, 16])],
    ['file', inFile('/models/unet.safetensors', 4096)],
  ]);
  const outputs = {
    small: multiply(parameter('small', [16, 16]), 2),
    large: multiply(parameter('large', [17, 16]), 2),
    file: multiply(parameter('file', [2, 2]), 2),
    constant: constant(hostTensor(new Float32Array(300), [300])),
  };
  const references = (options: SerializeOptions) => {
    const model = serialize(program(outputs), { weights, ...options });
    const entries = read(model.bytes).graph.initializer.filter(({ externalData }) => externalData.length > 0);
    return {
      external: [...model.external.keys()],
      inModel: entries.map(({ name, externalData }) => [name, ...externalData.map(({ value }) => value)]),
    };
  };
  expect(references({})).toEqual({
    external: ['large', 'file', 'constant_3'],
    inModel: [
      ['large', 'large', '0', '1088'],
      ['file', 'file', '0', '16'],
      ['constant_3', 'constant_3', '0', '1200'],
    ],
  });
  expect(references({ locationOf: (path) => path.slice(1) })).toEqual({
    external: [],
    inModel: [['file', 'models/unet.safetensors', '4096', '16']],
  });
});

test('refuses weights that do not fit their parameter', () => {
  const y = multiply(parameter('w', [2, 2]), 2);
  const bind = (w: Weight) => () => serialize(program({ y }), { weights: new Map([['w', w]]) });
  expect(bind(weight([4]))).toThrow('the weight w has the shape [4], but the model expects [2, 2]');
  expect(bind({ ...weight([2, 2]), shape: [2, 2], dtype: 'int32' })).toThrow('stored as int32');
  expect(bind({ ...weight([3]), shape: [2, 2] })).toThrow('takes 16 bytes, but 12 are stored');
});

test('casts a table of 16 bits as it is loaded where that is wanted, else the rows that were looked up', () => {
  const table = parameter('table', [4, 2], 'float16');
  const [ids, more] = [input('ids', [3], 'int64'), input('more', [1], 'int64')];
  const wanted = program({
    rows: gather(cast(table, 'float32'), ids),
    also: gather(cast(table, 'float32'), more),
    asStored: gather(table, more),
  });
  const nodes = (widenTables: boolean) => {
    const weights = new Map([['table', weight([4, 2], 'float16')]]);
    const { graph } = read(serialize(wanted, { weights, widenTables }).bytes);
    return graph.node.map(({ opType, input: [first] }) => `${opType} ${first}`);
  };
  const casts = ['Cast op_0_Gather_output', 'Cast op_2_Gather_output'];
  expect(nodes(false).sort()).toEqual([...casts, ...new Array(3).fill('Gather table')]);
  expect(nodes(true).sort()).toEqual([
    ...casts,
    'Cast table',
    'Gather table',
    ...new Array(2).fill('Gather table.float32'),
  ]);
});

test('constants that are the same in every place are stored once', () => {
  const x = input('x', [100]);
  const y = [1, 1, 2, 0, -0, 1].reduce((sum, value) => add(sum, filled([100], value)), x);
  const { bytes } = serialize(program({ y, z: add(x, filled([1], 1)) }));
  const { graph } = read(bytes);
  const sizes = graph.initializer.map(({ rawData }) => rawData.byteLength).sort((a, b) => a - b);
  expect(sizes).toEqual([4, 400, 400, 400, 400]);
  const ones = graph.node.map(({ input: inputs }) => inputs[1]);
  expect(new Set([ones[0], ones[1], ones[5]]).size).toBe(1);
  expect(new Set(ones).size).toBe(5);
});
