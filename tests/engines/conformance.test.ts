/** The conformance suite over every engine that Node can run. */
import { afterAll, describe, test } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { engineTolerance } from '../../src/engines/onnxruntime-node/tolerance.ts';
import { createOpenVinoEngine } from '../../src/engines/openvino/engine.ts';
import { findOpenVino, notFound } from '../../src/engines/openvino/installation.ts';
import { openVinoTolerance } from '../../src/engines/openvino/tolerance.ts';
import { createReferenceEngine } from '../../src/engines/reference/engine.ts';
import { program } from '../../src/graph/program.ts';
import { input } from '../../src/graph/tensor.ts';
import { checks, type EngineUnderTest } from './conformance.ts';

const engines: readonly EngineUnderTest[] = [
  { name: 'reference', available: async () => true, create: () => createReferenceEngine(), tolerance: 0 },
  {
    name: 'onnxruntime-node on the CPU',
    available: async () => true,
    create: () => createNodeEngine({ threads: 2 }),
    tolerance: engineTolerance.cpu,
  },
  {
    name: 'onnxruntime-node on WebGPU',
    available: async () => {
      const engine = createNodeEngine({ device: 'webgpu' });
      try {
        await engine.compile(program({ x: input('x', [1]) }));
        return true;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      } finally {
        await engine.dispose();
      }
    },
    create: () => createNodeEngine({ device: 'webgpu' }),
    tolerance: engineTolerance.webgpu,
  },
  {
    name: 'OpenVINO on the processor',
    available: async () => findOpenVino().path !== undefined || notFound,
    create: () => createOpenVinoEngine({ threads: 2 }),
    tolerance: openVinoTolerance.float32,
  },
];

for (const { name, available, create, tolerance } of engines) {
  const reason = await available();
  if (reason !== true) {
    console.warn(`left out: ${name}: ${reason.split('\n')[0]}`);
    test.skip(`${name}: not available: ${reason.split('\n')[0]}`, () => {});
    continue;
  }
  describe(name, () => {
    const engine = create();
    afterAll(() => engine.dispose());
    for (const check of checks) test(check.name, () => check.run(engine, tolerance));
  });
}
