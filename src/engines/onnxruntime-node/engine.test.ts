import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { ByteSource } from '../../files/files.ts';
import { float32ToFloat16 } from '../../graph/float16.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import {
  add,
  dynamicQuantizeMatMul,
  gather,
  gemm,
  matmul,
  multiply,
  quantizeLinear,
  transpose,
} from '../../graph/operators/index.ts';
import { program } from '../../graph/program.ts';
import { constant, input, operation, parameter, type Tensor } from '../../graph/tensor.ts';
import type { Weight, Weights } from '../../weights/weights.ts';
import { createReferenceEngine } from '../reference/engine.ts';
import { createNodeEngine } from './engine.ts';

// What every engine must do is in tests/engines/conformance.ts; here is what only this one does.

const engine = createNodeEngine();
const folder = mkdtempSync(join(tmpdir(), 'engine-'));
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

const range = (length: number) => Float32Array.from({ length }, (_, i) => i);

/** A file that the engine maps into memory, and nobody reads otherwise. */
function localSource(path: string): ByteSource {
  return { name: path, path, size: 1e6, read: () => Promise.reject(new Error('read')) };
}

describe('weights in files', () => {
  /** Writes `values` behind `offset` bytes of something else. */
  function fileWith(name: string, values: Float32Array | Uint16Array, offset: number): Weight {
    const path = join(folder, name);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    writeFileSync(path, Buffer.concat([Buffer.alloc(offset, 7), bytes, Buffer.alloc(3, 7)]));
    return {
      dtype: values instanceof Float32Array ? 'float32' : 'float16',
      shape: [values.length],
      storage: { kind: 'source', source: localSource(path), offset, length: bytes.byteLength },
    };
  }

  const sum = (length: number, names: readonly string[]) =>
    program({ sum: names.map((name) => parameter(name, [length])).reduce((a: Tensor, b) => add(a, b)) });

  async function run(length: number, weights: Weights): Promise<number[]> {
    const executable = await engine.compile(sum(length, [...weights.keys()]), { weights });
    const result = await executable.run({});
    await executable.dispose();
    return Array.from(result.sum!.data, Number);
  }

  test('are read where they lie: several files, any offset, 16 bits, together with weights in memory', async () => {
    const length = 1000;
    mkdirSync(join(folder, 'read-only'));
    const weights = new Map<string, Weight>([
      ['a', fileWith('a.safetensors', range(length), 8)],
      ['b', fileWith('read-only/b file ä.bin', range(length), 13)],
      ['c', fileWith('c.bin', float32ToFloat16(range(length)), 101)],
      [
        'd',
        {
          dtype: 'float32',
          shape: [length],
          storage: { kind: 'bytes', bytes: new Uint8Array(range(length).buffer) },
        },
      ],
    ]);
    chmodSync(join(folder, 'read-only'), 0o555);
    expect(await run(length, weights)).toEqual([...range(length)].map((x) => 4 * x));
  });

  test('are read through a symbolic link, and by a relative path', async () => {
    const weight = fileWith('target.bin', range(600), 0);
    symlinkSync(join(folder, 'target.bin'), join(folder, 'link.bin'));
    const through = (path: string): Weights =>
      new Map([
        ['w', { ...weight, storage: { kind: 'source', source: localSource(path), offset: 0, length: 2400 } }],
      ]);
    expect(await run(600, through(join(folder, 'link.bin')))).toEqual([...range(600)]);
    const up = process
      .cwd()
      .split('/')
      .map(() => '..');
    expect(await run(600, through(join(...up, folder, 'link.bin')))).toEqual([...range(600)]);
  });

  test('that are gone, or shorter than they say, are an error that names them', async () => {
    const weight = fileWith('short.bin', range(500), 0);
    const at = (path: string, offset: number): Weights =>
      new Map([
        ['w', { ...weight, storage: { kind: 'source', source: localSource(path), offset, length: 2000 } }],
      ]);
    await expect(run(500, at(join(folder, 'gone.bin'), 0))).rejects.toThrow(/gone\.bin/);
    await expect(run(500, at(join(folder, 'short.bin'), 1900))).rejects.toThrow(
      /short\.bin has 2003 bytes, but the weight w lies at 1900 to 3900/,
    );
  });
});

describe('errors of ONNX Runtime', () => {
  test('while compiling name the program and the operator', async () => {
    const x = input('x', [2], 'int64');
    const wrong = program({ y: operation('Sigmoid', [x], [2], 'int64') });
    await expect(engine.compile(wrong, { name: 'unet' })).rejects.toThrow(
      /unet does not compile on onnxruntime-node\/cpu: .*op_0_Sigmoid/s,
    );
  });

  test('while running name the program and the operator, and the engine goes on', async () => {
    const looked = gather(constant(hostTensor(range(6), [3, 2])), input('ids', [1], 'int64'));
    const executable = await engine.compile(program({ looked }), { name: 'text encoder' });
    const ids = (id: bigint) => ({ ids: hostTensor(BigInt64Array.of(id), [1]) });
    await expect(executable.run(ids(9n))).rejects.toThrow(/text encoder failed: .*op_0_Gather/s);
    expect([...(await executable.run(ids(2n))).looked!.data]).toEqual([4, 5]);
  });
});

test('rounds both factors of a product in 8 bits, as the operator says', async () => {
  const wave = (rows: number, columns: number) =>
    hostTensor(
      range(rows * columns).map((i) => Math.sin(1.7 * i) + 0.3),
      [rows, columns],
    );
  const a = input('a', [7, 64]);
  const scale = constant(hostTensor(new Float32Array(32).fill(0.01), [32]));
  const b = transpose(quantizeLinear(input('b', [32, 64]), scale), [1, 0]);
  const whole = program({ y: dynamicQuantizeMatMul(a, b, scale, input('bias', [32])) });
  const inputs = { a: wave(7, 64), b: wave(32, 64), bias: hostTensor(range(32), [32]) };
  const [expected, result] = await Promise.all(
    [createReferenceEngine(), engine].map(async (each) => {
      const executable = await each.compile(whole);
      const { y } = await executable.run(inputs);
      await executable.dispose();
      return y!.data as Float32Array;
    }),
  );
  for (const [i, value] of expected!.entries()) expect(result![i]).toBeCloseTo(value, 4);
});

test('a device that this build does not have is refused, not replaced by the CPU', async () => {
  const elsewhere = createNodeEngine({ device: process.platform === 'darwin' ? 'dml' : 'coreml' });
  await expect(elsewhere.compile(program({ x: input('x', [1]) }))).rejects.toThrow(
    /program does not compile on onnxruntime-node\/\w+: ONNX Runtime for \S+ on \S+ has no \w+; it has cpu/,
  );
  await elsewhere.dispose();
});

describe('the worker thread', () => {
  const size = 1024;
  const square = hostTensor(new Float32Array(size * size), [size, size]);
  /** Some 26 GFLOP, a few tenths of a second at least. */
  const heavy = () => {
    const x = input('x', [size, size]);
    return program({ y: Array.from({ length: 12 }).reduce((y: Tensor) => matmul(y, x), x) });
  };

  test('leaves the event loop free', async () => {
    const executable = await engine.compile(heavy());
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    await executable.run({ x: square });
    clearInterval(timer);
    // A run in this thread would let none through.
    expect(ticks).toBeGreaterThan(5);
    await executable.dispose();
  });

  test('a run that is aborted rejects at once, though the thread is busy', async () => {
    const executable = await engine.compile(heavy());
    const stop = new AbortController();
    const order: string[] = [];
    const before = executable.run({ x: square }).then(() => order.push('the run before'));
    const aborted = executable
      .run({ x: square }, { signal: stop.signal })
      .catch((error: Error) => order.push(error.message));
    stop.abort(new Error('aborted'));
    await Promise.all([before, aborted]);
    expect(order).toEqual(['aborted', 'the run before']);
    await executable.run({ x: square });
    await executable.dispose();
  });

  test('does not begin with runs that were aborted while they waited', async () => {
    const executable = await engine.compile(heavy());
    const timed = async (work: () => Promise<unknown>) => {
      const start = performance.now();
      await work();
      return performance.now() - start;
    };
    await executable.run({ x: square });
    const one = await timed(() => executable.run({ x: square }));
    const stop = new AbortController();
    const two = await timed(async () => {
      const first = executable.run({ x: square });
      const waiting = Array.from({ length: 20 }, () => executable.run({ x: square }, stop));
      const aborted = Promise.all(waiting.map((run) => expect(run).rejects.toThrow('aborted')));
      stop.abort(new Error('aborted'));
      await Promise.all([first, aborted, executable.run({ x: square })]);
    });
    // Twice as long, and not 22 times.
    expect(two).toBeLessThan(8 * one);
    await executable.dispose();
  });

  test('finishes what was asked for before the engine is disposed of, and takes nothing after', async () => {
    const own = createNodeEngine();
    const executable = await own.compile(program({ y: multiply(input('x', [3]), 2) }), { name: 'doubler' });
    const running = executable.run({ x: hostTensor(range(3), [3]) });
    const disposed = own.dispose();
    expect([...(await running).y!.data]).toEqual([0, 2, 4]);
    await disposed;
    await own.dispose();
    await expect(executable.run({ x: hostTensor(range(3), [3]) })).rejects.toThrow(
      'doubler failed: the engine was disposed of',
    );
    await executable.dispose();
  });
});

test('a process can end in the middle of a run', () => {
  const from = (path: string) => JSON.stringify(new URL(`../../../dist/${path}.js`, import.meta.url).href);
  const script = `
    import { createNodeEngine } from ${from('engines/onnxruntime-node/engine')};
    import { matmul } from ${from('graph/operators/index')};
    import { program } from ${from('graph/program')};
    import { input } from ${from('graph/tensor')};
    const x = input('x', [1024, 1024]);
    let y = x;
    for (let i = 0; i < 12; i++) y = matmul(y, x);
    const executable = await createNodeEngine().compile(program({ y }));
    executable.run({ x: { dtype: 'float32', shape: x.shape, data: new Float32Array(2 ** 20) } });
    setTimeout(() => process.exit(3), 50);`;
  const { status, signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script]);
  expect({ status, signal, stderr: `${stderr}` }).toEqual({ status: 3, signal: null, stderr: '' });
});

test('dispose frees what compile took', async () => {
  const side = 1024;
  const bytes = new Uint8Array(side * side * 4);
  const weights: Weights = new Map([
    ['w', { dtype: 'float32', shape: [side, side], storage: { kind: 'bytes', bytes } }],
  ]);
  const layer = program({ y: gemm(input('x', [8, side]), parameter('w', [side, side])) });
  const cycle = async () => {
    const executable = await engine.compile(layer, { weights });
    await executable.run({ x: hostTensor(new Float32Array(8 * side), [8, side]) });
    await executable.dispose();
  };
  for (let i = 0; i < 5; i++) await cycle();
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 60; i++) await cycle();
  const grown = process.memoryUsage().rss - before;
  // Each cycle holds 4 MB of weights at least twice: 60 that leak would be 480 MB.
  expect(grown).toBeLessThan(160 * 2 ** 20);
});

test('writes a profile that names the operators', async () => {
  const profiled = createNodeEngine({ profile: join(folder, 'profile') });
  const executable = await profiled.compile(program({ y: matmul(input('x', [4, 4]), input('z', [4, 4])) }));
  await executable.run({ x: hostTensor(range(16), [4, 4]), z: hostTensor(range(16), [4, 4]) });
  await profiled.dispose();
  expect(readdirSync(folder).filter((name) => name.startsWith('profile'))).toHaveLength(1);
});
