/** What the machine and the installation are, as far as they decide what runs and how fast. */
import { lstat, readdir, readFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { onnxRuntimeInstallation } from '../../engines/onnxruntime-node/installation.ts';
import { hubSettings } from '../../hub/node/settings.ts';
import { requiredNode, version } from '../version.ts';

export interface Versions {
  readonly version: string;
  readonly node: string;
  /** The oldest one that is supported. */
  readonly requiredNode: string;
  readonly nodeSuffices: boolean;
  readonly onnxruntime: string;
  /** `linux x64` */
  readonly platform: string;
}

export async function versions(): Promise<Versions> {
  const [node, required] = [process.versions.node, await requiredNode()];
  return {
    version: await version(),
    node,
    requiredNode: required,
    nodeSuffices: isAtLeast(node, required),
    onnxruntime: onnxRuntimeInstallation().version,
    platform: `${process.platform} ${process.arch}`,
  };
}

/** Compares versions number by number: 20.9 comes before 20.19. */
export function isAtLeast(version: string, required: string): boolean {
  const [found, wanted] = [version, required].map((text) =>
    text.split('.').map((part) => Number.parseInt(part, 10)),
  );
  for (const [i, number] of wanted!.entries()) {
    const difference = (found![i] ?? 0) - number;
    if (difference !== 0) return difference > 0;
  }
  return true;
}

export interface Processor {
  readonly model: string;
  /** Logical ones of the machine, and those that this process may use. */
  readonly threads: number;
  readonly usable: number;
  /** Physical ones; undefined where the system does not say. */
  readonly cores: number | undefined;
  /** Instruction sets that matter for matrix products; undefined where the system does not say. */
  readonly instructions: readonly string[] | undefined;
}

export async function processor(): Promise<Processor> {
  // Linux; other systems have no such file.
  const cpuinfo = await readFile('/proc/cpuinfo', 'utf8').catch(() => undefined);
  return {
    model: cpus()[0]?.model.trim() || process.arch,
    threads: cpus().length,
    usable: availableParallelism(),
    ...(cpuinfo === undefined
      ? { cores: undefined, instructions: process.arch === 'arm64' ? ['NEON'] : undefined }
      : readCpuinfo(cpuinfo)),
  };
}

/** As Linux calls them, in the order of their width. */
const instructionNames: readonly (readonly [flag: string, name: string])[] = [
  ...([
    ['avx2', 'AVX2'],
    ['fma', 'FMA'],
    ['avx512f', 'AVX-512'],
    ['avx512_vnni', 'VNNI'],
  ] as const),
  ...([
    ['avx512_bf16', 'BF16'],
    ['amx_tile', 'AMX'],
  ] as const),
  ...([
    ['asimd', 'NEON'],
    ['i8mm', 'I8MM'],
    ['bf16', 'BF16'],
    ['sve', 'SVE'],
  ] as const),
];

/** Physical cores and instruction sets in the text of /proc/cpuinfo. */
export function readCpuinfo(text: string): Pick<Processor, 'cores' | 'instructions'> {
  const processors = text.split(/\n\s*\n/).map((block) => new Map(block.split('\n').map(fieldOf)));
  const cores = new Set(
    processors
      .filter((fields) => fields.has('core id'))
      .map((fields) => `${fields.get('physical id')} ${fields.get('core id')}`),
  ).size;
  const flags = processors[0]?.get('flags') ?? processors[0]?.get('Features');
  const words = new Set(flags?.split(' '));
  return {
    cores: cores || undefined,
    instructions:
      flags === undefined
        ? undefined
        : instructionNames.filter(([flag]) => words.has(flag)).map(([, name]) => name),
  };
}

function fieldOf(line: string): [name: string, value: string] {
  const [name = '', ...value] = line.split(':');
  return [name.trim(), value.join(':').trim()];
}

export interface Memory {
  /** Bytes. */
  readonly total: number;
  readonly available: number;
  /** Of the container, if it has one. */
  readonly limit: number | undefined;
}

export function memory(): Memory {
  const total = totalmem();
  const limit = process.constrainedMemory();
  // Where there is no limit, it is 0 or a number larger than any machine.
  return {
    total,
    available: process.availableMemory(),
    limit: limit > 0 && limit < total ? limit : undefined,
  };
}

export interface Cache {
  readonly path: string;
  readonly models: number;
  readonly bytes: number;
}

/** Of the hub. */
export async function cache(): Promise<Cache> {
  const path = hubSettings().cache;
  const folders = await readdir(path).catch(ignoreMissing);
  return {
    path,
    models: folders.filter((name) => name.startsWith('models--')).length,
    bytes: await bytesOf(path),
  };
}

/** Of all files below; links, as snapshots consist of, take no room. */
async function bytesOf(path: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(path).catch(ignoreMissing)) {
    const found = await lstat(join(path, name));
    bytes += found.isDirectory() ? await bytesOf(join(path, name)) : found.isFile() ? found.size : 0;
  }
  return bytes;
}

function ignoreMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
  throw error;
}
