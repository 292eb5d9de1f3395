/** Requests from JavaScript, where nobody checks types: any value for any setting. */
import { join } from 'node:path';
import { openModel } from '../../src/components/node/open-model.ts';
import type { Pipeline } from '../../src/pipelines/pipeline.ts';
import type { GenerationRequest } from '../../src/pipelines/settings.ts';
import { openPipeline } from './drawing.ts';
import { FIXTURES, type Kind } from './kind.ts';
import type { Random } from './random.ts';

const pipelines = new Map<string, Promise<Pipeline>>();

function pipelineOf(name: string): Promise<Pipeline> {
  const path = join(FIXTURES, 'golden', 'pipelines', name, 'model');
  const opened = pipelines.get(name) ?? openModel(path).then((files) => openPipeline(files));
  pipelines.set(name, opened);
  return opened;
}

const picture = (width: unknown, height: unknown, channels: unknown, length: number) => ({
  width,
  height,
  channels,
  data: new Uint8Array(length).fill(128),
});

/** Values that settings may have, so that more than one setting is looked at; all of them are little work. */
const FITTING: Readonly<Record<string, readonly unknown[]>> = {
  prompt: ['a fox', '', ['a fox', 'a lake'], 'the'.repeat(20_000), 'a \ud800 fox', '(a:1.2) AND [b]'],
  negativePrompt: ['blur', '', ['blur', 'rain']],
  numImages: [1, 2],
  width: [8, 16, 24],
  height: [8, 16, 24],
  steps: [1, 2],
  guidanceScale: [0, 1, 1.5, 8],
  guidanceRescale: [0, 0.5, 1],
  seed: [0, 7, [1, 2], 2 ** 53 - 1],
  scheduler: [
    'lcm',
    'tcd',
    'ddim',
    'pndm',
    'euler',
    'euler-a',
    'heun',
    'dpm2',
    'dpm++',
    'dpm++-sde',
    'unipc',
    'deis',
  ],
  eta: [0, 0.5, 1],
  timesteps: [[999, 499], [999]],
  originalSteps: [50, 20],
  clipSkip: [0, 1],
  originalSize: [[16, 16]],
  targetSize: [[16, 16]],
  cropTopLeft: [[0, 0]],
  tileSize: [16, 64],
  signal: [new AbortController().signal],
  onWarning: [() => {}],
  image: [picture(16, 16, 3, 768), picture(17, 9, 4, 612), picture(1, 1, 1, 1)],
  strength: [0.5, 1, 1e-9],
  mask: [picture(16, 16, 1, 256), picture(16, 16, 4, 1024)],
};

const circular: Record<string, unknown> = {};
circular.self = circular;
const thenable = Object.fromEntries([['then', 5]]);

const ODD: readonly unknown[] = [
  ...[
    undefined,
    null,
    true,
    false,
    -1,
    -0,
    0.5,
    1e9,
    1e308,
    -1e308,
    2 ** 53,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ],
  ...['', 'x', '1', '16', 'constructor', '__proto__', 'x'.repeat(1_000_000), '\u0000', '\ud800'],
  ...[[], [null], [[]], [1, 2, 3], ['x', 'y', 'z'], [undefined], new Array(5), new Array(100_000).fill('a')],
  ...[{}, { length: 5 }, thenable, { toString: null }, Object.create(null), circular, new Date(0), /x/],
  ...[
    5n,
    -5n,
    Symbol('s'),
    () => 1,
    class {},
    new Map(),
    new Set([1]),
    new Uint8Array(3),
    new ArrayBuffer(8),
  ],
  ...[new Error('x'), Promise.resolve(1), new Proxy({}, {}), new Proxy([], {}), Object.freeze([1])],
  ...[picture(16, 16, 3, 5), picture(0, 0, 3, 0), picture(-1, 16, 3, 768), picture('16', 16, 3, 768)],
  ...[
    picture(16, 16, 5, 1280),
    picture(1e9, 1e9, 3, 3),
    picture(16.5, 16, 3, 768),
    { width: 16, height: 16 },
  ],
  ...[
    { ...picture(16, 16, 3, 768), data: new Array(768).fill(0) },
    { ...picture(16, 16, 3, 768), data: null },
  ],
  ...[
    { ...picture(16, 16, 3, 768), data: new Float64Array(768) },
    { aborted: true },
    { aborted: 5, reason: 1 },
  ],
];

export const requests: Kind = {
  name: 'requests',
  async make(random) {
    const request = random.chance(0.02) ? random.pick(ODD) : oddRequest(random);
    const model = random.pick(['lcm', 'sd', 'sdxl']);
    return {
      names: [],
      async use() {
        const pipeline = await pipelineOf(model);
        await pipeline.generate(request as GenerationRequest);
        return 'drawn';
      },
    };
  },
};

function oddRequest(random: Random): Record<string, unknown> {
  const request: Record<string, unknown> = { prompt: 'a fox', steps: 1, width: 16, height: 16 };
  const names = Object.keys(FITTING);
  random.times(0, 4, () => {
    const name = random.pick(names);
    request[name] = random.pick(FITTING[name]!);
  });
  random.times(0, 2, () => {
    request[random.chance(0.95) ? random.pick(names) : 'stepz'] = random.pick(ODD);
  });
  return request;
}
