/** Writes a program as an ONNX model: the file format every ONNX Runtime, in Node or in a browser, can load. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { DType } from '../../graph/dtype.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import type { Program } from '../../graph/program.ts';
import type { Shape } from '../../graph/shape.ts';
import type { Attribute, OperationNode, Tensor } from '../../graph/tensor.ts';
import { checkWeight, storageLength } from '../../weights/check-weight.ts';
import type { Storage, Weights } from '../../weights/weights.ts';
import {
  AttributeProto_AttributeType,
  type AttributeProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataLocation,
  TensorProto_DataType,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
} from './generated/onnx_pb.ts';

/** Opset 20 and IR 9 came together (ONNX 1.15). */
const IR_VERSION = 9n;
const OPSETS = [
  { domain: '', version: 20n },
  { domain: 'com.microsoft', version: 1n },
];

/** Values up to this many bytes are written into the model itself, so that shapes and axes are known while it is optimised. */
const INLINE_BYTES = 1024;

/** ONNX Runtime's sign for values in memory (tensorprotoutils.h): their address stands in place of an offset. */
const IN_MEMORY = '*/_ORT_MEM_ADDR_/*';

/**
 * Operators whose outputs are left out when nothing reads them: ONNX Runtime fuses a layer normalisation with its
 * neighbours only when nobody asks for its statistics.
 */
const OPTIONAL_OUTPUTS: ReadonlySet<string> = new Set(['LayerNormalization']);

export interface OnnxModel {
  /** A serialised ModelProto. */
  readonly bytes: Uint8Array;
  /** Values that must be given with the model, by the location under which it refers to them. */
  readonly external: ReadonlyMap<string, Storage>;
  /** What every run must be given: the program's inputs and the parameters that no weight was found for. */
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** The program's outputs, and what the model calls them: the same, unless the name was taken. */
  readonly outputs: ReadonlyMap<string, string>;
}

export interface SerializeOptions {
  /** Parameters found here become initialisers; the others become inputs. */
  readonly weights?: Weights;
  readonly name?: string;
  /**
   * The location by which the model refers to a file of weights where it lies. ONNX Runtime takes values from outside
   * a model either all from files or all from its caller: with this, whatever is not in a file is written into the
   * model; without it, the values of files too are in `external`, for the caller to bring.
   */
  readonly locationOf?: (path: string) => string;
  /**
   * The address in memory at which a value lies that is not written into the model: OpenVINO reads it there, as it does
   * for ONNX Runtime, and `external` stays empty.
   */
  readonly addressOf?: (storage: Storage) => bigint;
  /**
   * Cast tables of 16 bits that are looked up to float32 while the model is loaded, as all other weights are: for devices
   * that may not have such numbers. Usually only the rows that were looked up are cast, and a large table stays as it is.
   */
  readonly widenTables?: boolean;
}

/**
 * Serialises `program`. Values are named after the program's inputs, parameters and outputs, and operators after
 * their place and type (`op_17_Conv`), so that a profile or an error of ONNX Runtime can be read.
 *
 * Throws InputError when a weight has another shape than its parameter, or a type that cannot be cast to it.
 */
export function serialize(program: Program, options: SerializeOptions = {}): OnnxModel {
  const names = new Names();
  const valueNames = new Map<Tensor, string>();
  const nodes: MessageInitShape<typeof NodeProtoSchema>[] = [];
  const initializers: MessageInitShape<typeof TensorProtoSchema>[] = [];
  const external = new Map<string, Storage>();
  const inputs = new Map<string, Tensor>(program.inputs);

  // The names of leaves come first: they are the caller's, and must not change.
  for (const [name, tensor] of [...program.inputs, ...program.parameters]) {
    valueNames.set(tensor, names.reserve(name));
  }
  const outputs = new Map<string, string>();
  for (const [name, tensor] of program.outputs) {
    const valueName = names.unique(name);
    outputs.set(name, valueName);
    if (tensor.node.kind === 'operation' && !valueNames.has(tensor)) valueNames.set(tensor, valueName);
  }

  const addInitializer = (name: string, dtype: DType, shape: Shape, storage: Storage) => {
    const tensor = { name, dataType: dataTypes[dtype], dims: shape.map(BigInt) };
    const { locationOf, addressOf } = options;
    const path = storage.kind === 'source' ? storage.source.path : undefined;
    if (addressOf && (storage.kind === 'source' || storage.bytes.byteLength > INLINE_BYTES)) {
      initializers.push({ ...tensor, ...reference(IN_MEMORY, addressOf(storage), storageLength(storage)) });
    } else if (storage.kind === 'source' && path !== undefined && locationOf) {
      initializers.push({ ...tensor, ...reference(locationOf(path), storage.offset, storage.length) });
    } else if (storage.kind === 'bytes' && (locationOf || storage.bytes.byteLength <= INLINE_BYTES)) {
      initializers.push({ ...tensor, rawData: storage.bytes });
    } else {
      external.set(name, storage);
      initializers.push({ ...tensor, ...reference(name, 0, storageLength(storage)) });
    }
  };

  for (const [name, tensor] of program.parameters) {
    const weight = options.weights?.get(name);
    if (!weight) {
      inputs.set(name, tensor);
      continue;
    }
    const dtype = checkWeight(name, tensor, weight);
    if (dtype === tensor.dtype) {
      addInitializer(name, dtype, weight.shape, weight.storage);
    } else {
      // The initialiser keeps the stored type, and is cast while the model is loaded.
      const stored = names.unique(`${name}.${dtype}`);
      addInitializer(stored, dtype, weight.shape, weight.storage);
      nodes.push(castTo(tensor.dtype, stored, name, names.unique(`cast_${name}`)));
    }
  }
  const lookups = options.widenTables ? lookupsOf16Bits(program) : new Set<OperationNode>();
  const widened = new Map<Tensor, string>();
  for (const { inputs } of lookups) {
    const table = inputs[0]!;
    if (widened.has(table)) continue;
    const name = valueNames.get(table)!;
    const wide = names.unique(`${name}.float32`);
    nodes.push(castTo('float32', name, wide, names.unique(`widen_${name}`)));
    widened.set(table, wide);
  }
  const filled = new Map<string, string>();
  program.constants.forEach((tensor, i) => {
    if (tensor.node.kind !== 'constant') throw new Error('a constant of the program is not a constant');
    const { fill } = tensor.node;
    // The norms of large pictures take many equal ones, each as large as a feature map.
    const key = fill === undefined ? undefined : `${Object.is(fill, -0) ? '-0' : fill} ${tensor.shape}`;
    const known = key === undefined ? undefined : filled.get(key);
    const name = known ?? names.unique(`constant_${i}`);
    valueNames.set(tensor, name);
    if (known !== undefined) return;
    if (key !== undefined) filled.set(key, name);
    addInitializer(name, tensor.dtype, tensor.shape, { kind: 'bytes', bytes: bytesOf(tensor.node.value) });
  });

  const read = new Set<Tensor | undefined>(program.outputs.values());
  for (const operation of program.operations) for (const tensor of operation.inputs) read.add(tensor);
  program.operations.forEach((operation, i) => {
    const name = names.unique(`op_${i}_${operation.type}`);
    for (const tensor of operation.outputs) {
      if (OPTIONAL_OUTPUTS.has(operation.type) && !read.has(tensor)) continue;
      const suffix = operation.outputs.length > 1 ? `_${tensor.index}` : '';
      if (!valueNames.has(tensor)) valueNames.set(tensor, names.unique(`${name}${suffix}_output`));
    }
    const node = nodeProto(operation, name, valueNames);
    if (lookups.has(operation)) node.input![0] = widened.get(operation.inputs[0]!)!;
    nodes.push(node);
  });
  // An output that is a leaf, or the second name of a value, gets an operator of its own.
  for (const [outputName, tensor] of program.outputs) {
    const output = outputs.get(outputName)!;
    const source = valueNames.get(tensor)!;
    if (source !== output)
      nodes.push({
        opType: 'Identity',
        name: names.unique(`copy_${output}`),
        input: [source],
        output: [output],
      });
  }

  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: 'latent-consistency',
    opsetImport: OPSETS,
    graph: {
      name: options.name ?? 'program',
      node: nodes,
      initializer: initializers,
      input: [...inputs].map(([name, tensor]) => valueInfo(name, tensor)),
      output: [...program.outputs].map(([name, tensor]) => valueInfo(outputs.get(name)!, tensor)),
    },
  });
  return { bytes: toBinary(ModelProtoSchema, model), external, inputs, outputs };
}

const dataTypes: Record<DType, TensorProto_DataType> = {
  float32: TensorProto_DataType.FLOAT,
  float64: TensorProto_DataType.DOUBLE,
  float16: TensorProto_DataType.FLOAT16,
  bfloat16: TensorProto_DataType.BFLOAT16,
  int64: TensorProto_DataType.INT64,
  int32: TensorProto_DataType.INT32,
  int8: TensorProto_DataType.INT8,
  uint8: TensorProto_DataType.UINT8,
  bool: TensorProto_DataType.BOOL,
};

function nodeProto(
  operation: OperationNode,
  name: string,
  valueNames: ReadonlyMap<Tensor, string>,
): MessageInitShape<typeof NodeProtoSchema> {
  const nameOf = (tensor: Tensor): string => {
    const valueName = valueNames.get(tensor);
    if (valueName === undefined) throw new Error(`${name} reads a tensor that the program does not contain`);
    return valueName;
  };
  return {
    opType: operation.type,
    domain: operation.domain,
    name,
    // ONNX's sign for an optional value that is not there is an empty name.
    input: operation.inputs.map((tensor) => (tensor ? nameOf(tensor) : '')),
    output: operation.outputs.map((tensor) => valueNames.get(tensor) ?? ''),
    attribute: Object.entries(operation.attributes).map(([key, value]) => attributeProto(key, value)),
  };
}

function attributeProto(name: string, value: Attribute): MessageInitShape<typeof AttributeProtoSchema> {
  if ('int' in value) return { name, type: AttributeProto_AttributeType.INT, i: BigInt(value.int) };
  if ('ints' in value) return { name, type: AttributeProto_AttributeType.INTS, ints: value.ints.map(BigInt) };
  if ('float' in value) return { name, type: AttributeProto_AttributeType.FLOAT, f: value.float };
  if ('floats' in value)
    return { name, type: AttributeProto_AttributeType.FLOATS, floats: [...value.floats] };
  return { name, type: AttributeProto_AttributeType.STRING, s: new TextEncoder().encode(value.string) };
}

function castTo(
  dtype: DType,
  from: string,
  to: string,
  name: string,
): MessageInitShape<typeof NodeProtoSchema> {
  const attribute = attributeProto('to', { int: dataTypes[dtype] });
  return { opType: 'Cast', name, input: [from], output: [to], attribute: [attribute] };
}

/** Where rows of a stored table of 16 bits are looked up, and nothing is done with them but a cast to another type. */
function lookupsOf16Bits({ operations, outputs }: Program): ReadonlySet<OperationNode> {
  const readAsTheyAre = new Set<Tensor | undefined>(outputs.values());
  for (const { type, inputs } of operations) {
    if (type !== 'Cast') for (const tensor of inputs) readAsTheyAre.add(tensor);
  }
  const isLookup = ({ type, inputs: [table], outputs: [rows] }: OperationNode) =>
    type === 'Gather' &&
    table?.node.kind === 'parameter' &&
    (table.dtype === 'float16' || table.dtype === 'bfloat16') &&
    !readAsTheyAre.has(rows);
  return new Set(operations.filter(isLookup));
}

function valueInfo(name: string, { dtype, shape }: Tensor): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape.map((size) => ({ value: { case: 'dimValue' as const, value: BigInt(size) } }));
  return {
    name,
    type: { value: { case: 'tensorType', value: { elemType: dataTypes[dtype], shape: { dim } } } },
  };
}

/** Says that a tensor's values lie outside the model. */
function reference(
  location: string,
  offset: number | bigint,
  length: number,
): MessageInitShape<typeof TensorProtoSchema> {
  return {
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [
      { key: 'location', value: location },
      { key: 'offset', value: `${offset}` },
      { key: 'length', value: `${length}` },
    ],
  };
}

function bytesOf({ data }: HostTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Hands out names, each once. */
class Names {
  readonly #taken = new Set<string>();

  /** Takes `name` as it is. */
  reserve(name: string): string {
    if (name === '' || this.#taken.has(name))
      throw new Error(`the program uses the name "${name}" twice, or it is empty`);
    this.#taken.add(name);
    return name;
  }

  /** Takes `name`, or `name_2`, `name_3` … when it is taken. */
  unique(name: string): string {
    let candidate = name;
    for (let i = 2; this.#taken.has(candidate); i++) candidate = `${name}_${i}`;
    return this.reserve(candidate);
  }
}
