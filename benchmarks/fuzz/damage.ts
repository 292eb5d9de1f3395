/** What happens to files: bytes, texts, JSON, and the headers of safetensors. Nothing here knows who reads them. */
import type { Random } from './random.ts';

const NUMBERS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** One to four changes: bytes and numbers of two and four bytes, parts that are gone, doubled or zero, a cut. */
export function damagedBytes(original: Uint8Array, random: Random): Uint8Array {
  let bytes = Uint8Array.from(original);
  // Half of what is changed lies in the first bytes, which say what the others are.
  const place = () => random.below(1 + (random.chance(0.5) ? Math.min(bytes.length, 200) : bytes.length));
  const put = (start: number, values: ArrayLike<number>) => {
    for (let i = 0; i < values.length && start + i < bytes.length; i++) bytes[start + i] = values[i]!;
  };
  random.times(1, 4, () => {
    const start = place();
    const length = 1 + random.below(random.chance(0.8) ? 16 : 1000);
    const end = Math.min(start + length, bytes.length);
    const change = random.below(9);
    if (change < 3) put(start, [random.below(256)]);
    else if (change === 3) put(start, new Uint8Array(length));
    else if (change === 4) bytes = joined(bytes.subarray(0, start), bytes.subarray(end));
    else if (change === 5) bytes = joined(bytes.subarray(0, end), bytes.subarray(start));
    else if (change === 6 && random.chance(0.5)) bytes = bytes.slice(0, start);
    else {
      const value = random.pick(NUMBERS);
      const wide = random.chance(0.5);
      const number = new DataView(new ArrayBuffer(4));
      if (wide) number.setUint32(0, value, random.chance(0.5));
      else number.setUint16(0, value & 0xffff, random.chance(0.5));
      put(start, new Uint8Array(number.buffer, 0, wide ? 4 : 2));
    }
  });
  return bytes;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.concat(parts));
}

const FRAGMENTS = [
  ...['{', '}', '[', ']', ',', ':', '"', '\\', 'null', 'true', '0', '-1', '1e999', '0.5', '{}', '[]', '"x"'],
  ...['NaN', '-Infinity', '[null]', '9007199254740993', '"\\ud800"', '"__proto__":{},', '\u0000', '\ufeff'],
  ...['\n', '\r', '\t', ' ', '\u001b[2J', '\ud83d\ude00', '<|endoftext|>', '</w>', '/', '../', '%s', 'é'],
];

/** One or two changes to a text: fragments put in, parts that are gone, doubled or repeated many times, a cut. */
export function damagedText(original: string, random: Random): string {
  let text = original;
  random.times(1, 2, () => {
    const start = random.below(1 + text.length);
    const end = Math.min(text.length, start + random.below(random.chance(0.8) ? 12 : 500));
    const change = random.below(6);
    if (change < 3) text = text.slice(0, start) + random.pick(FRAGMENTS) + text.slice(end);
    else if (change === 3) text = text.slice(0, start) + text.slice(end);
    else if (change === 4) text = text.slice(0, start) + text.slice(start, end).repeat(2 + random.below(200));
    else if (random.chance(0.5)) text = text.slice(0, start);
  });
  return text;
}

/** JSON that cannot be written with `JSON.stringify`: put in where the text between the bars stands. */
const RAW: Readonly<Record<string, string>> = {
  '|deep list|': `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
  '|deep object|': `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`,
  '|nan|': 'NaN',
  '|infinity|': 'Infinity',
  '|too large|': '1e999',
  '|exact|': '9007199254740993',
};

const ODD_VALUES: readonly unknown[] = [
  ...[null, true, false, 0, -0, 1, -1, 2, 3, 7, 0.5, 1.5, 64, 1000, 65_537, 1e9, 2 ** 31, 2 ** 53, 1e308],
  ...[1e-320, -1e308, '', ' ', 'x', '1', '0', 'true', 'null', 'constructor', '__proto__', 'toString'],
  ...['../../x', '/dev/zero', 'a\u0000b', '\u001b]0;x\u0007', '\ud800', '\ufeff', 'x'.repeat(100_000)],
  ...[[], {}, [null], [[]], [1, 2], ['x', 'y'], { a: 1 }, [1e9, 1e9], [0, -1], [1.5]],
  ...[new Array(50_000).fill(1), new Array(50_000).fill('y'), ...Object.keys(RAW)],
];

const ODD_NAMES = [
  '',
  '_class_name',
  'constructor',
  '__proto__',
  'toString',
  'x',
  'a'.repeat(10_000),
  '\u0000',
];

/** A copy of the JSON value with one to three of its values, names or items changed. */
export function damagedJson(original: unknown, random: Random): unknown {
  const root = { value: structuredClone(original) };
  random.times(1, 3, () => damageOne(root, random));
  return root.value;
}

function damageOne(root: { value: unknown }, random: Random): void {
  const places: { readonly holder: Record<string, unknown>; readonly name: string }[] = [];
  const visit = (holder: Record<string, unknown>, name: string) => {
    if (places.length > 5000) return;
    places.push({ holder, name });
    const value = holder[name];
    if (typeof value !== 'object' || value === null) return;
    for (const inner of Object.keys(value)) visit(value as Record<string, unknown>, inner);
  };
  visit(root, 'value');
  // The whole is one place among many.
  const { holder, name } = random.pick(places.length > 1 && random.chance(0.98) ? places.slice(1) : places);
  const value = holder[name];
  const change = random.below(10);
  if (change < 4) set(holder, name, random.pick(ODD_VALUES));
  else if (change === 4 && typeof value === 'number') {
    set(holder, name, random.pick([value + 1, value * 2, value / 2, -value, value * 1000, value - 1]));
  } else if (change === 4 && typeof value === 'string') set(holder, name, damagedText(value, random));
  else if (change === 5 || holder === root)
    set(holder, name, random.pick(places.map((at) => at.holder[at.name])));
  else if (change === 6 && Array.isArray(holder)) holder.splice(Number(name), 1);
  else if (change === 6) delete holder[name];
  else if (change === 7 && Array.isArray(holder)) {
    for (let left = 1 + random.below(9); left > 0; left--) holder.push(structuredClone(value));
  } else if (change === 7) set(holder, damagedText(name, random), value);
  else if (change === 8 && !Array.isArray(holder))
    set(holder, random.pick(ODD_NAMES), random.pick(ODD_VALUES));
  else if (Array.isArray(value))
    set(holder, name, random.pick([value[0], value.slice(1), [value], { ...value }]));
  else set(holder, name, [value]);
}

/** Also `__proto__`, as a name like others; a copy, because what is set may be damaged again, or be a part of itself. */
function set(holder: Record<string, unknown>, name: string, value: unknown): void {
  const copy = structuredClone(value);
  Object.defineProperty(holder, name, { value: copy, writable: true, enumerable: true, configurable: true });
}

/** As a file has it. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null';
  return Object.entries(RAW).reduce((all, [mark, raw]) => all.replaceAll(`"${mark}"`, () => raw), text);
}

/** A text with JSON: its values changed, or its characters. */
export function damagedJsonText(text: string, random: Random): string {
  const value = parsed(text);
  return value !== undefined && random.chance(0.7)
    ? jsonText(damagedJson(value, random))
    : damagedText(text, random);
}

/** Undefined for what is no JSON, such as a file that was damaged before. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

const BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I8: 1,
  F8_E4M3: 1,
};
const ODD_SIZES = [0, 1, 2, 3, 5, 64, 77, 320, 2 ** 16, 2 ** 31, 2 ** 53 - 1];
const ODD_KEYS = [
  ...['.', 'constructor', '__proto__.weight', 'v_pred', 'edm_vpred.sigma_max', 'global_step', 'iteration'],
  ...['label_emb.0.0.weight', 'model.diffusion_model.', 'model.diffusion_model.out.2.weight'],
  ...['conditioner.embedders.1.model.text_projection', 'first_stage_model.encoder.conv_in.weight'],
  ...['lora_unet_.alpha', 'lora_te_text_model.alpha', 'unet..lora_A.weight', 'a.dora_scale', 'x.hada_w1_a'],
  ...['lora_unet_mid_block_attentions_0_proj_in.lora_mid.weight', 'base_model.model.unet.x.lora_B.weight'],
];

/**
 * A safetensors file, most often one that a reader of headers has nothing to say against: tensors that are missing,
 * renamed, of other shapes and types, texts of its metadata; the data behind them are as they were, or zero.
 */
export function damagedSafetensors(file: Uint8Array, random: Random): Uint8Array {
  if (file.length < 8 || random.chance(0.1)) return damagedBytes(file, random);
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const text = Buffer.from(file.subarray(8, 8 + length)).toString();
  if (random.chance(0.05)) return withHeader(damagedText(text, random), file.subarray(8 + length));
  const described = entriesIn(parsed(text));
  if (described === undefined) return damagedBytes(file, random);
  const { __metadata__, ...tensors } = described;
  const entries = Object.entries(tensors) as [string, Entry][];
  const data = Buffer.from(file.subarray(8 + length));
  const changed = entries.map(([name, entry]) => {
    return { name, ...entry, bytes: data.subarray(...entry.data_offsets) };
  });
  let metadata: unknown = __metadata__;
  random.times(1, 3, () => {
    const at = random.below(Math.max(1, changed.length));
    const tensor = changed[at];
    const change = random.below(11);
    if (change === 0) metadata = damagedJson(__metadata__ ?? { format: 'pt' }, random);
    else if (!tensor) return;
    else if (change === 1) changed.splice(at, 1 + random.below(random.chance(0.7) ? 1 : 40));
    else if (change === 2) tensor.name = random.pick(ODD_KEYS);
    else if (change === 3) tensor.name = damagedText(tensor.name, random);
    else if (change === 4)
      tensor.name = tensor.name.replace(
        /([._])\d+/,
        `$1${random.pick(['0', '1', '2', '9', '99999999999', '-1', 'x'])}`,
      );
    else if (change === 5) tensor.name = changed[random.below(changed.length)]!.name;
    else if (change === 6) tensor.shape = [...tensor.shape].reverse();
    else if (change === 7) tensor.shape.splice(random.below(5), random.below(2), random.pick(ODD_SIZES));
    else if (change === 8) tensor.shape = tensor.shape.map((size) => (random.chance(0.5) ? 2 * size : size));
    else if (change === 9) tensor.dtype = random.pick([...Object.keys(BYTES), 'C64', 'x', '']);
    else tensor.bytes = Buffer.from(tensor.bytes.map(() => random.below(256)));
  });
  const isHonest = random.chance(0.9);
  const header: Record<string, unknown> = {};
  const taken = new Set<string>();
  if (metadata !== undefined) set(header, '__metadata__', metadata);
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const { name, dtype, shape, bytes } of changed) {
    const wanted = (BYTES[dtype] ?? 4) * shape.reduce((product, size) => product * size, 1);
    const size = isHonest && wanted < 2 ** 24 ? wanted : bytes.length;
    if (taken.has(name)) continue;
    taken.add(name);
    set(header, name, { dtype, shape, data_offsets: [offset, offset + size] });
    const part = new Uint8Array(size);
    part.set(bytes.subarray(0, size));
    parts.push(part);
    offset += size;
  }
  return withHeader(jsonText(header), Buffer.concat(parts));
}

/** The header's fields, unless it was damaged before so that they are none. */
function entriesIn(header: unknown): Record<string, unknown> | undefined {
  const fields = Object(header) as Record<string, unknown>;
  const isEntry = ([name, value]: [string, unknown]) => {
    const { shape, data_offsets: offsets } = Object(value) as Partial<Entry>;
    return name === '__metadata__' || (Array.isArray(shape) && Array.isArray(offsets));
  };
  return header !== undefined && Object.entries(fields).every(isEntry) ? fields : undefined;
}

function withHeader(text: string, data: Uint8Array): Uint8Array {
  const header = Buffer.from(text);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, data]);
}
