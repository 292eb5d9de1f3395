/** The machine's speed limit: the fastest matrix product of ONNX Runtime, against which all else is held. */
import type { Engine } from '../src/engines/engine.ts';
import { hostTensor } from '../src/graph/host-tensor.ts';
import { matmul } from '../src/graph/operators/matmul.ts';
import { program } from '../src/graph/program.ts';
import { input, parameter } from '../src/graph/tensor.ts';
import { Generator } from '../src/random/generator.ts';
import { measure } from './timing.ts';

/** GFLOP/s of the fastest of several products of float32 matrices, the second one a bound weight. */
export async function gemmPeak(engine: Engine): Promise<number> {
  let peak = 0;
  for (const size of [512, 1024, 2048]) {
    const shape = [size, size];
    const values = new Generator(size).normal(size * size);
    const weights = new Map([
      [
        'b',
        { dtype: 'float32', shape, storage: { kind: 'bytes', bytes: new Uint8Array(values.slice().buffer) } },
      ] as const,
    ]);
    // One number leaves the graph: copying the product out would be timed as well.
    const product = matmul(input('a', shape), parameter('b', shape));
    const executable = await engine.compile(program({ corner: product }), { weights, name: 'GEMM' });
    const a = hostTensor(values, shape);
    const { best } = await measure(() => executable.run({ a }), { seconds: 2 });
    await executable.dispose();
    peak = Math.max(peak, (2 * size ** 3) / best / 1e9);
  }
  return peak;
}
