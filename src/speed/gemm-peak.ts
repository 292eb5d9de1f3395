/** The machine's speed limit: the fastest matrix product of ONNX Runtime, against which all else is held. */
import type { Engine } from '../engines/engine.ts';
import { hostTensor } from '../graph/host-tensor.ts';
import { matmul } from '../graph/operators/matmul.ts';
import { slice } from '../graph/operators/shape.ts';
import { program } from '../graph/program.ts';
import { input, parameter } from '../graph/tensor.ts';
import { Generator } from '../random/generator.ts';
import { measure } from './timing.ts';

export interface GemmPeakOptions {
  /** Rows and columns of the square matrices. */
  readonly sizes?: readonly number[];
  /** Spent on each size, as `measure` takes them. */
  readonly seconds?: number;
  readonly atLeast?: number;
}

/** GFLOP/s of the fastest of several products of float32 matrices, the second one a bound weight. */
export async function gemmPeak(
  engine: Engine,
  { sizes = [512, 1024, 2048], seconds = 2, atLeast }: GemmPeakOptions = {},
): Promise<number> {
  let peak = 0;
  for (const size of sizes) {
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
    const corner = slice(slice(product, 0, 0, 1), 1, 0, 1);
    const executable = await engine.compile(program({ corner }), { weights, name: 'GEMM' });
    const a = hostTensor(values, shape);
    const { best } = await measure(() => executable.run({ a }), { seconds, atLeast });
    await executable.dispose();
    peak = Math.max(peak, (2 * size ** 3) / best / 1e9);
  }
  return peak;
}
