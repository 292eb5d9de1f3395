/** Where the time of a network, or of a training step, goes: ONNX Runtime's own profile, summed by operator. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Components } from '../src/components/components.ts';
import type { Engine } from '../src/engines/engine.ts';
import { createNodeEngine, type NodeEngineOptions } from '../src/engines/onnxruntime-node/engine.ts';
import { Networks } from '../src/networks/networks.ts';

export interface OperatorTime {
  /** As ONNX Runtime calls its kernel; `ReorderInput` and `ReorderOutput` change the layout. */
  readonly operator: string;
  /** Of the time in all operators. */
  readonly share: number;
  /** Per pass. */
  readonly milliseconds: number;
  readonly calls: number;
}

const PASSES = 2;

/** The operators of one pass, the most expensive first. */
export function profileNetwork(
  components: Components,
  run: (networks: Networks) => Promise<unknown>,
): Promise<OperatorTime[]> {
  return profiled({}, PASSES, async (engine) => {
    const networks = new Networks(components, engine);
    for (let pass = 0; pass < PASSES; pass++) await run(networks);
    await networks.dispose();
  });
}

/** What an engine spends on operators while it is used, which is `passes` times the same. */
export async function profiled(
  options: Pick<NodeEngineOptions, 'threads'>,
  passes: number,
  use: (engine: Engine) => Promise<void>,
): Promise<OperatorTime[]> {
  const folder = await mkdtemp(join(tmpdir(), 'lcm-bench-'));
  try {
    const engine = createNodeEngine({ ...options, profile: join(folder, 'profile') });
    await use(engine);
    await engine.dispose();
    const files = await readdir(folder);
    const events = await Promise.all(files.map((file) => kernelTimes(join(folder, file))));
    return summed(events.flat(), passes);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface KernelTime {
  readonly operator: string;
  readonly microseconds: number;
}

/** The part of ONNX Runtime's records that is looked at. */
interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args: { readonly op_name?: string };
}

async function kernelTimes(path: string): Promise<KernelTime[]> {
  const events: readonly ProfileEvent[] = JSON.parse(await readFile(path, 'utf8'));
  return events
    .filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'))
    .map(({ dur, args }) => ({ operator: args.op_name ?? 'unnamed', microseconds: dur }));
}

function summed(times: readonly KernelTime[], passes: number): OperatorTime[] {
  const total = times.reduce((sum, { microseconds }) => sum + microseconds, 0);
  const byOperator = new Map<string, { microseconds: number; calls: number }>();
  for (const { operator, microseconds } of times) {
    const known = byOperator.get(operator) ?? { microseconds: 0, calls: 0 };
    byOperator.set(operator, {
      microseconds: known.microseconds + microseconds,
      calls: known.calls + 1,
    });
  }
  return [...byOperator]
    .map(([operator, { microseconds, calls }]) => ({
      operator,
      share: microseconds / total,
      milliseconds: microseconds / 1000 / passes,
      calls: calls / passes,
    }))
    .sort((a, b) => b.share - a.share);
}
