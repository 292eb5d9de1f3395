import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { float32ToFloat16 } from '../../graph/float16.ts';
import { float32Data, hostTensor } from '../../graph/host-tensor.ts';
import { add, cast, exp, matmul, multiply, sin } from '../../graph/operators/index.ts';
import { program } from '../../graph/program.ts';
import { input, operation, parameter } from '../../graph/tensor.ts';
import type { Weight } from '../../weights/weights.ts';
import { createNodeEngine } from '../onnxruntime-node/engine.ts';
import { precisions } from '../precision.ts';
import { createOpenVinoEngine, describeOpenVino } from './engine.ts';
import { findOpenVino, notFound } from './installation.ts';
import { openVinoTolerance } from './tolerance.ts';

// What every engine must do is in tests/engines/conformance.ts; here is what only this one does.

const { path } = findOpenVino();
if (path === undefined) console.warn(`left out: OpenVINO: ${notFound}`);
const folder = mkdtempSync(join(tmpdir(), 'openvino-'));
afterAll(() => rmSync(folder, { recursive: true }));

const side = 700;
const square = (value: number) => hostTensor(new Float32Array(side * side).fill(value), [side, side]);

/** Products that take a processor seconds. */
function longProgram() {
  const x = input('x', [side, side]);
  let y = x;
  for (let i = 0; i < 300; i++) y = matmul(y, x);
  return program({ y });
}

async function precisionsHere() {
  const { devices } = await describeOpenVino(path!);
  return devices.find(({ name }) => name === 'CPU')!.precisions;
}

describe.skipIf(path === undefined)('with OpenVINO', () => {
  it('says what it is and what its devices compute in', async () => {
    const { version, devices } = await describeOpenVino(path!);
    expect(version).toMatch(/^20\d\d\.\d/);
    expect(devices).toContainEqual(
      expect.objectContaining({ name: 'CPU', precisions: expect.arrayContaining(['float32']) }),
    );
  });

  it('computes in the precision that was asked for, and refuses one that the device does not have', async () => {
    const known = await precisionsHere();
    const x = hostTensor(
      Float32Array.from({ length: 64 * 64 }, (_, i) => ((i * 37) % 101) / 101),
      [64, 64],
    );
    const side = input('x', [64, 64]);
    const product = program({ y: matmul(side, side) });
    const exact = await outputOf(createNodeEngine(), product);
    const errors: number[] = [];
    for (const precision of precisions) {
      const engine = createOpenVinoEngine({ precision });
      if (!known.includes(precision)) {
        await expect(outputOf(engine, product)).rejects.toThrow(/does not compute in/);
        continue;
      }
      const found = await outputOf(engine, product);
      const largest = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const error =
        found.reduce((most, value, i) => Math.max(most, Math.abs(value - exact[i]!)), 0) / largest;
      expect(error).toBeLessThan(openVinoTolerance[precision]);
      errors.push(error);
    }
    // The sum is exact in none of the short ones.
    if (errors.length > 1) expect(Math.max(...errors)).toBeGreaterThan(1e-4);

    async function outputOf(engine: ReturnType<typeof createNodeEngine>, wanted: typeof product) {
      try {
        const executable = await engine.compile(wanted);
        return float32Data((await executable.run({ x })).y!);
      } finally {
        await engine.dispose();
      }
    }
  });

  it('computes sines of large angles in float32, whatever the precision', async () => {
    const t = input('t', [4]);
    const wave = sin(multiply(t, 1.2345));
    const both = program({ wave, scaled: multiply(wave, 3) });
    const times = [999, 321.5, 40, 7];
    for (const precision of await precisionsHere()) {
      await using engine = createOpenVinoEngine({ precision });
      const given = { t: hostTensor(Float32Array.from(times), [4]) };
      const { wave, scaled } = await (await engine.compile(both)).run(given);
      const { outputs, kept } = await (await engine.compileKeeping(both, ['scaled'])).run(given);
      const here = float32Data(await kept.scaled!.read());
      for (const [i, time] of times.entries()) {
        const exact = Math.sin(time * 1.2345);
        expect(float32Data(wave!)[i]).toBeCloseTo(exact, 3);
        expect(float32Data(outputs.wave!)[i]).toBeCloseTo(exact, 3);
        expect(float32Data(scaled!)[i]).toBeCloseTo(3 * exact, 1);
        expect(here[i]).toBe(float32Data(scaled!)[i]);
      }
    }
  });

  it('refuses a device that is not there, and a name that is none', async () => {
    const engine = createOpenVinoEngine({ device: 'openvino:GPU.7' });
    const compiling = engine.compile(program({ y: exp(input('x', [2])) }), { name: 'a step' });
    await expect(compiling).rejects.toThrow(
      /^a step does not compile on openvino\/GPU\.7 in float32: OpenVINO finds no GPU\.7 here; it finds .*CPU/,
    );
    await engine.dispose();
    expect(() => createOpenVinoEngine({ device: 'openvino:TPU' })).toThrow(/"openvino:TPU" is no device/);
  });

  it('names the program and says why OpenVINO does not take it', async () => {
    const wrong = program({ y: operation('NoSuchOperator', [input('x', [2])], [2], 'float32') });
    await using engine = createOpenVinoEngine();
    await expect(engine.compile(wrong, { name: 'a step' })).rejects.toThrow(
      /^a step does not compile on openvino\/CPU in float32: .*NoSuchOperator/,
    );
  });

  it('breaks off a run that is aborted', async () => {
    await using engine = createOpenVinoEngine({ threads: 1 });
    const long = await engine.compile(longProgram());
    const short = await engine.compile(program({ y: exp(input('x', [2])) }));
    const start = performance.now();
    await long.run({ x: square(1 / side) });
    const whole = performance.now() - start;
    const controller = new AbortController();
    const running = long.run({ x: square(1 / side) }, { signal: controller.signal });
    const next = short.run({ x: hostTensor(new Float32Array(2), [2]) });
    setTimeout(() => controller.abort(new Error('enough')), whole / 10);
    const aborted = performance.now();
    await expect(running).rejects.toThrow('enough');
    await next;
    expect(performance.now() - aborted).toBeLessThan(0.7 * whole);
    const again = await long.run({ x: square(1 / side) });
    expect(again.y!.data[0]).toBeCloseTo(1 / side, 6);
  });

  it('a process can end in the middle of a run', () => {
    const at = (module: string) => JSON.stringify(new URL(`../../../dist/${module}`, import.meta.url).href);
    const script = `
      import { createOpenVinoEngine } from ${at('engines/openvino/engine.js')};
      import { matmul } from ${at('graph/operators/index.js')};
      import { program } from ${at('graph/program.js')};
      import { input } from ${at('graph/tensor.js')};
      const x = input('x', [${side}, ${side}]);
      let y = x;
      for (let i = 0; i < 300; i++) y = matmul(y, x);
      const executable = await createOpenVinoEngine().compile(program({ y }));
      executable.run({ x: { dtype: 'float32', shape: [${side}, ${side}], data: new Float32Array(${side * side}) } });
      setTimeout(() => process.exit(3), 50);`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 3, stderr: '' });
  });

  it('reads weights in files where they lie, at any offset, and keeps what it compiled', async () => {
    const values = Float32Array.from({ length: 4096 }, (_, i) => i / 4096);
    const bits = float32ToFloat16(values);
    const file = join(folder, 'weights.bin');
    writeFileSync(
      file,
      Buffer.concat([Buffer.alloc(6, 7), Buffer.from(bits.buffer, bits.byteOffset, bits.byteLength)]),
    );
    const weight: Weight = {
      dtype: 'float16',
      shape: [4096],
      storage: {
        kind: 'source',
        source: { name: file, path: file, size: 8198, read: () => Promise.reject(new Error('read')) },
        offset: 6,
        length: 8192,
      },
    };
    const sum = program({ y: add(input('x', [4096]), cast(parameter('w', [4096], 'float16'), 'float32')) });
    const compiledCache = join(folder, 'cache');
    for (let i = 0; i < 2; i++) {
      const engine = createOpenVinoEngine({ compiledCache });
      const executable = await engine.compile(sum, { weights: new Map([['w', weight]]) });
      const { y } = await executable.run({ x: hostTensor(new Float32Array(4096).fill(1), [4096]) });
      expect(float32Data(y!)[2048]).toBe(1.5);
      await engine.dispose();
      expect(readdirSync(compiledCache)).toHaveLength(1);
    }
    const [entry] = readdirSync(compiledCache);
    expect(readdirSync(join(compiledCache, entry!)).some((name) => name.endsWith('.blob'))).toBe(true);
  });

  it('reads inputs that threads share where they lie', async () => {
    await using engine = createOpenVinoEngine();
    const executable = await engine.compile(program({ y: add(input('x', [4]), 1) }));
    const data = new Float32Array(new SharedArrayBuffer(32), 16, 4).fill(2);
    const { y } = await executable.run({ x: hostTensor(data, [4]) });
    expect([...float32Data(y!)]).toEqual([3, 3, 3, 3]);
    expect([...data]).toEqual([2, 2, 2, 2]);
  });

  it('gives back what it took when it is disposed of', async () => {
    const use = async () => {
      const engine = createOpenVinoEngine();
      const bytes = new Uint8Array(new Float32Array(4_000_000).buffer);
      const weights = new Map([
        ['w', { dtype: 'float32', shape: [2000, 2000], storage: { kind: 'bytes', bytes } } as Weight],
      ]);
      const product = program({ y: matmul(input('x', [1, 2000]), parameter('w', [2000, 2000])) });
      for (let i = 0; i < 4; i++) {
        const executable = await engine.compile(product, { weights });
        await executable.run({ x: hostTensor(new Float32Array(2000), [1, 2000]) });
        if (i % 2 === 0) await executable.dispose();
      }
      await engine.dispose();
    };
    await use();
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 4; i++) await use();
    // Each time at least 64 MB of weights were held, and as much again when they were packed.
    expect(process.memoryUsage.rss() - before).toBeLessThan(100e6);
  });
});
