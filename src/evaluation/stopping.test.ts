/** Whoever cancels does not wait for an engine that is still at work. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { diffusersFiles } from '../components/node/diffusers-files.ts';
import { abortable } from '../engines/abortable.ts';
import type { Engine } from '../engines/engine.ts';
import { hostTensor } from '../graph/host-tensor.ts';
import { input } from '../graph/tensor.ts';
import { DeclaredParams } from '../layers/params.ts';
import type { Weight } from '../weights/weights.ts';
import { Autoencoding } from './autoencoding.ts';
import { JUDGE_CONFIG, judge } from './judge.ts';
import { Judging } from './judging.ts';

const model = fileURLToPath(new URL('../../tests/fixtures/golden/pipelines/lcm/model', import.meta.url));

const never = new Promise<never>(() => {});

/** What it has begun it never ends. */
const running: Engine = {
  name: 'running',
  compile: async () => ({
    run: (_, options) => abortable(never, options?.signal),
    dispose: () => never,
  }),
  dispose: () => never,
};
const compiling: Engine = { ...running, compile: () => never };

it('ends judging', async () => {
  const config = { ...JUDGE_CONFIG, block_out_channels: [8, 8, 8, 8], feature_dim: 8 };
  const declared = new DeclaredParams();
  judge(config, declared.params, input('pictures', [1, 3, 64, 64]));
  const storage = { kind: 'bytes', bytes: new Uint8Array() } as const;
  const weights = new Map(
    [...declared.declarations].map(([name, { shape }]): [string, Weight] => [
      name,
      { dtype: 'float32', shape, storage },
    ]),
  );
  const judging = await Judging.open(running, config, weights, 'a judge');
  const stop = new AbortController();
  const judged = judging.judge(new Float32Array(3 * 64 * 64), { signal: stop.signal });
  stop.abort(new Error('enough'));
  await expect(judged).rejects.toThrow('enough');
});

it.each([
  ['running', running],
  ['being compiled', compiling],
])('ends a reconstruction whose autoencoder is %s', async (_, engine) => {
  const autoencoding = await Autoencoding.open(engine, await diffusersFiles(model));
  const stop = new AbortController();
  const pixels = hostTensor(new Float32Array(3 * 64 * 64), [1, 3, 64, 64]);
  const reconstructed = autoencoding.reconstruct(pixels, { signal: stop.signal });
  stop.abort(new Error('enough'));
  await expect(reconstructed).rejects.toThrow('enough');
});
