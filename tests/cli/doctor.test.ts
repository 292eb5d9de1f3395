/** `lcm doctor` from end to end, with little time for the measurements. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { workspace } from './lcm.ts';

const { at, runWith } = workspace({ forEachTest: true });

it('tries every engine, draws, measures, and weighs the cache', async () => {
  const model = at('cache/models--owner--name');
  mkdirSync(join(model, 'blobs'), { recursive: true });
  writeFileSync(join(model, 'blobs/abc'), new Uint8Array(1000));
  symlinkSync('blobs/abc', join(model, 'link'));
  const { code, stdout, stderr } = await runWith(
    { through: ['env', `HF_HUB_CACHE=${at('cache')}`] },
    ...['doctor', '--seconds', '0.1', '--json'],
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ type }) => type)).toEqual([
    ...['versions', 'processor', 'memory', 'cache', 'openvino'],
    ...lines.flatMap(({ type }) => (type === 'engine' ? [type] : [])),
    ...['model', 'speed', 'done'],
  ]);
  const [versions, processor, memory, cache, openVino, ...rest] = lines;
  expect(versions).toMatchObject({ node: process.versions.node, nodeSuffices: true, requiredNode: '20.19' });
  expect(processor.usable).toBeGreaterThan(0);
  expect(memory.total).toBeGreaterThanOrEqual(memory.available);
  expect(cache).toMatchObject({ models: 1, bytes: 1000 });

  const found = openVino.devices.map(({ name }: { name: string }) =>
    name === 'CPU' ? 'openvino' : `openvino:${name}`,
  );
  const engines = rest.slice(0, -3);
  expect(engines.map(({ engine }) => engine)).toEqual([
    ...['cpu', 'webgpu', 'cuda', 'coreml', 'dml'],
    ...(found.length > 0 ? found : ['openvino']),
  ]);
  if (openVino.path === undefined) {
    expect(openVino.reason).toMatch(/not found in .*site-packages.*; get it with "pip install openvino"/);
  } else {
    expect(openVino.version).toMatch(/^20\d\d/);
    expect(engines[5]).toMatchObject({ engine: 'openvino', works: true });
  }
  for (const { works, error, tolerance, reason } of engines) {
    if (works) expect(error).toBeLessThanOrEqual(tolerance);
    else expect(reason).toMatch(/^\S.{10,}$/);
  }
  expect(engines[0]).toMatchObject({ works: true });
  // No system has both.
  expect(engines[3].works && engines[4].works).toBe(false);
  const [picture, speed, done] = rest.slice(-3);
  expect(picture).toMatchObject({ works: true, engine: 'cpu' });
  expect(speed.gemmPeak).toBeGreaterThan(0);
  expect(speed.gflopsPerLargeStep).toBeCloseTo(803.27, 1);
  expect(done).toEqual({ type: 'done', works: true });
});

it('ends with 1 when no engine works', async () => {
  // The thread of ONNX Runtime is not there for whoever may start none.
  const { code, stdout } = await runWith(
    { through: ['env', `NODE_OPTIONS=--require ${withoutThreads()}`] },
    'doctor',
  );
  expect(code).toBe(1);
  expect(stdout).toMatch(/^engines {4}cpu {11}no: no threads today$/m);
  expect(stdout).not.toMatch(/^(model|speed)/m);
});

/** A module that takes the threads away from whoever loads it first. */
function withoutThreads(): string {
  const path = at('no-threads.cjs');
  const code =
    "require('node:worker_threads').Worker = class { constructor() { throw new Error('no threads today'); } };";
  writeFileSync(path, `${code}\nrequire('node:module').syncBuiltinESMExports();\n`);
  return path;
}
