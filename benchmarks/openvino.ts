/** What OpenVINO gains on this processor, in float32 and in half precision, over ONNX Runtime in the same run. */
import { createEngine, type EngineOptions } from '../src/engines/create-engine.ts';
import { describeOpenVino } from '../src/engines/openvino/engine.ts';
import { openVinoLibrary } from '../src/engines/openvino/installation.ts';
import { EMBEDDED_MODEL, measureGeneration } from './generation.ts';
import { measureStages } from './stable-diffusion-15.ts';
import { measureTraining } from './training.ts';

export interface Comparison {
  readonly what: string;
  /** Per second; of networks passes per second. By the name of the engine and its precision. */
  readonly rates: Readonly<Record<string, number>>;
}

/** What is measured. */
export type Part = 'networks' | 'pictures' | 'training';

const half = ['bfloat16', 'float16'] as const;

/** Throws InputError where OpenVINO is not found. */
export async function compareOpenVino(parts: readonly Part[]): Promise<Comparison[]> {
  const { devices } = await describeOpenVino(openVinoLibrary());
  const known = devices.find(({ name }) => name === 'CPU')?.precisions ?? [];
  const short = half.find((precision) => known.includes(precision));
  const engines: Readonly<Record<string, EngineOptions>> = {
    cpu: {},
    'openvino float32': { device: 'openvino' },
    ...(short && { [`openvino ${short}`]: { device: 'openvino', precision: short } }),
  };
  const rates = new Map<string, Record<string, number>>();
  for (const [name, options] of Object.entries(engines)) {
    for (const [what, rate] of await measured(options, parts)) {
      const known = rates.get(what) ?? {};
      rates.set(what, { ...known, [name]: rate });
    }
  }
  return [...rates].map(([what, rates]) => ({ what, rates }));
}

async function measured(options: EngineOptions, parts: readonly Part[]): Promise<[string, number][]> {
  const rates: [string, number][] = [];
  if (parts.includes('networks')) {
    for (const { stage, seconds } of await measureStages(options)) rates.push([stage, 1 / seconds]);
  }
  if (parts.includes('pictures')) {
    for (const { batch, picturesPerSecond } of await measureGeneration(EMBEDDED_MODEL, [1], [1, 32], options))
      rates.push([`embedded model, ${batch} at a time`, picturesPerSecond]);
  }
  if (parts.includes('training')) {
    const engine = createEngine(options);
    try {
      for (const { stage, batch, picturesPerSecond } of await measureTraining(engine, options))
        rates.push([`${stage}, batches of ${batch}`, picturesPerSecond]);
    } finally {
      await engine.dispose();
    }
  }
  return rates;
}
