/** Tensors of types that are not read here, put into safetensors files as other programs do. */
import { readFileSync, writeFileSync } from 'node:fs';

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Adds a tensor of so many bytes to the file, behind the others. */
export function addTensor(
  path: string,
  name: string,
  entry: Pick<Entry, 'dtype' | 'shape'>,
  bytes: number,
): void {
  edit(path, (header, data) => {
    header[name] = { ...entry, data_offsets: [data.length, data.length + bytes] };
    return Buffer.concat([data, Buffer.alloc(bytes, 1)]);
  });
}

/** Says of a tensor that it is of another type, with a shape for the bytes that it has. */
export function retype(path: string, name: string, dtype: string, bytesPerElement: number): void {
  edit(path, (header, data) => {
    const entry = header[name]!;
    const [begin, end] = entry.data_offsets;
    header[name] = { ...entry, dtype, shape: [(end - begin) / bytesPerElement] };
    return data;
  });
}

function edit(path: string, change: (header: Record<string, Entry>, data: Buffer) => Buffer): void {
  const file = readFileSync(path);
  const end = 8 + Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString('utf8', 8, end)) as Record<string, Entry>;
  const data = change(header, file.subarray(end));
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(Buffer.byteLength(text) / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  writeFileSync(path, Buffer.concat([length, padded, data]));
}
