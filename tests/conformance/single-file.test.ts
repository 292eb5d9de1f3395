/** Single-file checkpoints: the same weights, configurations, states and pictures as diffusers reads from them. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { singleFile } from '../../src/components/node/single-file.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { float32Data, hostTensor } from '../../src/graph/host-tensor.ts';
import { program } from '../../src/graph/program.ts';
import { input, type Tensor } from '../../src/graph/tensor.ts';
import { decodePng } from '../../src/images/png.ts';
import type { Params } from '../../src/layers/params.ts';
import { autoencoderKLConfig, encode } from '../../src/models/autoencoder-kl.ts';
import { clipText, clipTextConfig, clipTextProjection } from '../../src/models/clip-text.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { createPipeline } from '../../src/pipelines/pipeline.ts';
import { Generator } from '../../src/random/generator.ts';
import { openSafetensors, writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { readCheckpoint } from '../../src/weights/single-file/checkpoint.ts';
import { textEncoderWeights } from '../../src/weights/single-file/text-encoder.ts';
import { paramsFromWeights } from '../../src/weights/source.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
import { expectCloseTo, type Tensors, tensorOf } from './model-cases.ts';

interface Run {
  readonly seeds: number;
  readonly call: {
    readonly prompt: string;
    readonly num_inference_steps: number;
    readonly guidance_scale: number;
    readonly height: number;
    readonly width: number;
  };
}

describeGolden('pipelines/single_file', (folder) => {
  const path = join(folder, 'model_fp16.safetensors');
  const engine = createNodeEngine({ threads: 1 });
  afterAll(() => engine.dispose());

  it('gives every weight of diffusers as the range of the file that it comes from', async () => {
    const { weights: stored } = await openSafetensors(path);
    const { networks } = readCheckpoint(stored, path);
    const map = readJson<Record<string, unknown>>(folder, 'key_map.json');
    for (const component of ['unet', 'vae']) {
      const expected = Object.entries(map[component] as Record<string, string>);
      expect(expected.length).toBeGreaterThan(0);
      const { weights } = networks.get(component)!;
      expect([...weights.keys()].sort()).toEqual(expected.map(([name]) => name).sort());
      for (const [name, original] of expected) {
        const { storage } = weights.get(name)!;
        expect({ name, storage }).toEqual({ name, storage: stored.get(original)?.storage });
      }
    }
  });

  it('tells the configurations of the UNet and the VAE from the shapes', async () => {
    const { networks } = readCheckpoint((await openSafetensors(path)).weights, path);
    const config = (name: string) => readJson<object>(folder, 'config', name, 'config.json');
    const trained = { sample_size: 0 }; // the pictures' size is not in the file
    expect({ ...unet2DConditionConfig(networks.get('unet')!.config()), ...trained }).toEqual({
      ...unet2DConditionConfig(config('unet')),
      ...trained,
    });
    expect({ ...autoencoderKLConfig(networks.get('vae')!.config()), ...trained }).toEqual({
      ...autoencoderKLConfig(config('vae')),
      ...trained,
    });
  });

  describe('a part', () => {
    const parts = readTensors(folder, 'parts.safetensors');

    /** What `write` makes of the tensor `given` with the weights of one part. */
    async function evaluate(
      component: string,
      given: string,
      write: (config: unknown, params: Params, x: Tensor) => Tensor,
    ): Promise<Float32Array> {
      const { config, weights } = await (await singleFile(path)).network(component);
      const stored = paramsFromWeights(weights);
      const x = tensorOf(parts, given);
      const output = write(config, stored.params, input(given, x.shape, x.dtype));
      stored.requireAll(path);
      const executable = await engine.compile(program({ output }), { weights });
      const outputs = await executable.run({ [given]: x });
      await executable.dispose();
      return float32Data(outputs.output!);
    }

    it('encodes text', async () => {
      const states = await evaluate('text_encoder', 'input_ids', (config, params, ids) => {
        return clipText(clipTextConfig(config), params, ids).lastHiddenState;
      });
      expectClose(states, floats(parts, 'last_hidden_state'), 2e-5, 'relative');
    });

    it('encodes pictures', async () => {
      const moments = await evaluate('vae', 'pixels', (config, params, pixels) =>
        encode(autoencoderKLConfig(config), params, pixels),
      );
      expectClose(moments, floats(parts, 'moments'), 2e-5, 'relative');
    });
  });

  describe.each(Object.entries(readJson<Record<string, Run>>(folder, 'runs.json')))(
    '%s',
    (run, { seeds, call }) => {
      it('gives the latents and the picture of diffusers', async () => {
        const pipeline = await createPipeline(await singleFile(path), engine);
        const { images, latents } = await pipeline.generate({
          prompt: call.prompt,
          generator: new Generator(seeds),
          steps: call.num_inference_steps,
          guidanceScale: call.guidance_scale,
          width: call.width,
          height: call.height,
          scheduler: 'lcm',
        });
        const outputs = readTensors(folder, 'outputs.safetensors');
        expectClose(float32Data(latents), floats(outputs, `${run}/latents`), 1e-4, 'relative');
        const picture = join(folder, 'png', `${run}_0.png`);
        expect(existsSync(picture)).toBe(true);
        const reference = await decodePng(await readFile(picture));
        const differences = reference.data.map((value, i) => Math.abs(value - images[0]!.data[i]!));
        expect(Math.max(...differences)).toBeLessThanOrEqual(1);
      });
    },
  );
});

describeGolden('text', (folder) => {
  const engine = createNodeEngine({ threads: 1 });
  let temporary: string;
  beforeAll(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'open-clip-'));
  });
  afterAll(async () => {
    await engine.dispose();
    await rm(temporary, { recursive: true });
  });

  /** An encoder with a projection as OpenCLIP stores it: joint projections, the last one the other way round. */
  function asOpenClip(tensors: Tensors): Tensors {
    const result: Tensors = new Map();
    const joined = (names: string[]) => {
      const [first] = names.map((name) => tensorOf(tensors, name));
      const data = Float32Array.from(names.flatMap((name) => [...floats(tensors, name)]));
      return hostTensor(data, [3 * first!.shape[0]!, ...first!.shape.slice(1)]);
    };
    for (const [name, tensor] of tensors) {
      const layer = /^text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name);
      const block = `transformer.resblocks.${layer?.[1]}`;
      const part = layer?.[2]?.replace('layer_norm', 'ln_').replace('fc1', 'c_fc').replace('fc2', 'c_proj');
      if (part === 'self_attn.q_proj') {
        const names = ['q_proj', 'k_proj', 'v_proj'].map((projection) => name.replace('q_proj', projection));
        result.set(`${block}.attn.in_proj_${layer![3]}`, joined(names));
      } else if (layer && !/self_attn\.[kv]_proj/.test(name)) {
        result.set(`${block}.${part!.replace('self_attn', 'attn')}.${layer[3]}`, tensor);
      }
    }
    const table = (name: string) => tensorOf(tensors, `text_model.${name}`);
    result.set('token_embedding.weight', table('embeddings.token_embedding.weight'));
    result.set('positional_embedding', table('embeddings.position_embedding.weight'));
    result.set('ln_final.weight', table('final_layer_norm.weight'));
    result.set('ln_final.bias', table('final_layer_norm.bias'));
    const [rows, columns] = tensorOf(tensors, 'text_projection.weight').shape as [number, number];
    const projection = floats(tensors, 'text_projection.weight');
    const turned = Float32Array.from({ length: rows * columns }, (_, i) => {
      return projection[(i % rows) * columns + Math.floor(i / rows)]!;
    });
    result.set('text_projection', hostTensor(turned, [columns, rows]));
    return result;
  }

  const encoders = readdirSync(folder).filter((name) => name.startsWith('encoder_projection'));
  it('has text encoders with a projection', () => expect(encoders.length).toBeGreaterThan(0));

  it.each(encoders)('%s as OpenCLIP stores it gives the same text_embeds', async (name) => {
    const path = join(temporary, `${name}.safetensors`);
    await writeSafetensors(path, asOpenClip(readTensors(folder, name, 'model.safetensors')));
    const weights = textEncoderWeights('open-clip', (await openSafetensors(path)).weights, path);
    const config = clipTextConfig(readJson(folder, name, 'config.json'));
    const io = readTensors(folder, name, 'io.safetensors');
    const ids = tensorOf(io, 'input_ids');
    const stored = paramsFromWeights(weights);
    const { pooled } = clipText(config, stored.params, input('ids', ids.shape, ids.dtype));
    const graph = program({ embeds: clipTextProjection(config, stored.params, pooled) });
    stored.requireAll(path);
    const executable = await engine.compile(graph, { weights });
    const { embeds } = await executable.run({ ids });
    await executable.dispose();
    expectCloseTo(embeds, tensorOf(io, 'text_embeds'), 1e-4);
  });
});
