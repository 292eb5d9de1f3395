import { expect, it } from 'vitest';
import { createReferenceEngine } from '../engines/reference/engine.ts';
import { float32Data, hostTensor } from '../graph/host-tensor.ts';
import { program } from '../graph/program.ts';
import { randomStream } from '../training/data/random-stream.ts';
import { initialize } from '../training/update/flat-parameters.ts';
import { onesInitializer } from './initializers.ts';
import { loraParams } from './lora-parameters.ts';
import { DeclaredParams } from './params.ts';

const declare = () => {
  const trained = new DeclaredParams();
  const base = new DeclaredParams('base/');
  const { params } = loraParams(trained.params, base.params, { rank: 2, alpha: 4 });
  const weight = (name: string, shape: number[]) => params.weight(name, shape, onesInitializer);
  return { trained, base, weight };
};

it('adapts the layers that are named, and nothing else', () => {
  const { trained, weight } = declare();
  weight('down.attn.to_q.weight', [4, 6]);
  weight('down.resnets.0.conv1.weight', [8, 4, 3, 3]);
  weight('down.resnets.0.conv1.bias', [8]);
  weight('time_embedding.linear_1.weight', [4, 4]);
  expect([...trained.declarations].map(([name, { shape }]) => [name, shape])).toEqual([
    ['down.attn.to_q.lora_A.weight', [2, 6]],
    ['down.attn.to_q.lora_B.weight', [4, 2]],
    ['down.resnets.0.conv1.lora_A.weight', [2, 4, 3, 3]],
    ['down.resnets.0.conv1.lora_B.weight', [8, 2, 1, 1]],
  ]);
});

it('adds (α/r)·B·A, which is nothing at the start', async () => {
  const { trained, weight } = declare();
  const executable = await createReferenceEngine().compile(
    program({ adapted: weight('to_k.weight', [2, 3]) }),
  );
  const parameters = initialize(trained.declarations, randomStream(1));
  const base = { 'base/to_k.weight': hostTensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]) };
  const run = async () => float32Data((await executable.run({ ...parameters.tensors(), ...base })).adapted!);
  expect([...(await run())]).toEqual([1, 2, 3, 4, 5, 6]);

  parameters.set('to_k.lora_A.weight', hostTensor(Float32Array.of(1, 0, 0, 0, 1, 0), [2, 3]));
  parameters.set('to_k.lora_B.weight', hostTensor(Float32Array.of(1, 0, 0, 10), [2, 2]));
  expect([...(await run())]).toEqual([3, 2, 3, 4, 25, 6]);
});
