import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createReferenceEngine } from '../engines/reference/engine.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { program } from '../graph/program.ts';
import { constant, input, type Tensor } from '../graph/tensor.ts';
import * as activations from './activations.ts';
import * as attentions from './attention.ts';
import { toFeatureMap, toSequence } from './attention.ts';
import * as embeddings from './embeddings.ts';
import { sinusoid, timestepEmbedding } from './embeddings.ts';
import * as initializers from './initializers.ts';
import { fanInInitializer, normalInitializer } from './initializers.ts';
import * as linears from './linear.ts';
import { conv2d, linear } from './linear.ts';
import * as loras from './lora-parameters.ts';
import * as norms from './normalization.ts';
import { DeclaredParams } from './params.ts';
import * as blocks from './resnet-block.ts';
import { downsample, resnetBlock, upsample } from './resnet-block.ts';
import * as poolings from './text-pooling.ts';
import * as transformers from './transformer-2d.ts';

/** Everything that the files of the folder export. */
const layers = {
  ...activations,
  ...attentions,
  ...embeddings,
  ...initializers,
  ...linears,
  ...loras,
  ...norms,
  ...blocks,
  ...poolings,
  ...transformers,
};

const engine = createReferenceEngine();

async function evaluate(y: Tensor): Promise<HostTensor> {
  const executable = await engine.compile(program({ y }));
  return (await executable.run({})).y!;
}

const floats = (values: readonly number[], shape: readonly number[]) =>
  constant(hostTensor(Float32Array.from(values), shape));

describe('sinusoid', () => {
  const at = (t: number, channels: number, flipSinToCos: boolean, frequencyShift: number) =>
    evaluate(sinusoid(floats([t], [1]), channels, { flipSinToCos, frequencyShift }));

  it('has sines before cosines, or after them when flipped', async () => {
    const angles = [3, 3 / 100];
    const waves = [...angles.map(Math.sin), ...angles.map(Math.cos)];
    const plain = await at(3, 4, false, 0);
    const flipped = await at(3, 4, true, 0);
    for (const [i, wave] of waves.entries()) {
      expect(plain.data[i]).toBeCloseTo(wave, 6);
      expect(flipped.data[(i + 2) % 4]).toBeCloseTo(wave, 6);
    }
  });

  it('ends at the frequency 1/10000 with a shift of 1', async () => {
    const { data } = await at(500, 8, false, 1);
    expect(data[3]).toBeCloseTo(Math.sin(0.05), 6);
  });

  it('fills up an odd number of channels with zero', async () => {
    const { shape, data } = await at(7, 5, true, 0);
    expect(shape).toEqual([1, 5]);
    expect(data[4]).toBe(0);
  });
});

describe('layers', () => {
  const x = input('x', [2, 8, 5, 7]);

  it('declare weights under the names and shapes of PyTorch', () => {
    const declared = new DeclaredParams();
    const p = declared.params;
    linear(p.in('linear'), input('rows', [2, 3, 6]), 4);
    linear(p.in('plain'), input('row', [6]), 4, { bias: false });
    conv2d(p.in('conv'), x, 16, { kernel: 1, bias: false });
    timestepEmbedding(p.in('time'), input('t', [2, 6]), 24, {
      activation: 'silu',
      condition: input('w', [2, 10]),
    });
    const shapes = [...declared.declarations].map(([name, { shape }]) => `${name} [${shape}]`);
    expect(shapes.sort()).toEqual([
      'conv.weight [16,8,1,1]',
      'linear.bias [4]',
      'linear.weight [4,6]',
      'plain.weight [4,6]',
      'time.cond_proj.weight [6,10]',
      'time.linear_1.bias [24]',
      'time.linear_1.weight [24,6]',
      'time.linear_2.bias [24]',
      'time.linear_2.weight [24,24]',
    ]);
  });

  it('halve odd sizes upwards with padding 1 and downwards with padding 0', () => {
    const { params } = new DeclaredParams();
    expect(downsample(params.in('a'), x, 1).shape).toEqual([2, 8, 3, 4]);
    expect(downsample(params.in('b'), x, 0).shape).toEqual([2, 8, 2, 3]);
    expect(upsample(params.in('c'), x, 9, 14).shape).toEqual([2, 8, 9, 14]);
  });

  it('give a residual block a shortcut only where the channels change', () => {
    const options = { groups: 4, epsilon: 1e-5, activation: 'silu' } as const;
    const names = (channels: number) => {
      const declared = new DeclaredParams();
      expect(resnetBlock(declared.params, x, undefined, channels, options).shape).toEqual([
        2,
        channels,
        5,
        7,
      ]);
      return [...declared.declarations.keys()];
    };
    expect(names(8)).not.toContain('conv_shortcut.weight');
    expect(names(16)).toContain('conv_shortcut.weight');
  });

  it('put pixels into a sequence row by row, and back', async () => {
    const pixels = floats([...Array(12).keys()], [1, 2, 2, 3]);
    const sequence = toSequence(pixels);
    expect([...(await evaluate(sequence)).data]).toEqual([0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]);
    expect([...(await evaluate(toFeatureMap(sequence, 2, 3))).data]).toEqual([...Array(12).keys()]);
  });
});

describe('initializers', () => {
  const random = {
    normal: (length: number) => new Float32Array(length).fill(-1.5),
    uniform: (length: number) => Float32Array.from({ length }, (_, i) => i / length),
  };

  it('spread uniformly over ±1/√fanIn', () => {
    const values = fanInInitializer(16)([4], random);
    expect([...values]).toEqual([-0.25, -0.125, 0, 0.125]);
  });

  it('scale normals by their standard deviation', () => {
    expect([...normalInitializer(0.5)([2], random)]).toEqual([-0.75, -0.75]);
  });
});

describe('examples', () => {
  const scope = { ...layers, input, p: new DeclaredParams().params };
  const folder = new URL('.', import.meta.url);
  const sources = readdirSync(folder).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
  const examples = sources.flatMap((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    return [...text.matchAll(/^ \* (.*); \/\/ (\[.*\])$/gm)].map(([, code, shape]) => ({
      code: code!,
      shape: shape!,
    }));
  });

  it('are there for every layer', () => {
    for (const [name, layer] of Object.entries(layers)) {
      if (typeof layer !== 'function' || name.endsWith('Initializer')) continue;
      expect(examples.map(({ code }) => code).join(' '), name).toContain(`${name}(`);
    }
  });

  it.each(examples)('$code', ({ code, shape }) => {
    const run = new Function(...Object.keys(scope), `return ${code};`);
    expect(run(...Object.values(scope))).toEqual(JSON.parse(shape));
  });
});
