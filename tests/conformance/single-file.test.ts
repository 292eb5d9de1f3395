/** Single-file checkpoints: the same weights, configurations, states and pictures as diffusers reads from them. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { float32Data } from '../../src/graph/host-tensor.ts';
import { program } from '../../src/graph/program.ts';
import { input, type Tensor } from '../../src/graph/tensor.ts';
import { decodePng } from '../../src/images/png.ts';
import type { Params } from '../../src/layers/params.ts';
import { autoencoderKLConfig, encode } from '../../src/models/autoencoder-kl.ts';
import { clipText, clipTextConfig } from '../../src/models/clip-text.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { singleFile } from '../../src/pipelines/node/single-file.ts';
import { createPipeline } from '../../src/pipelines/pipeline.ts';
import { Generator } from '../../src/random/generator.ts';
import { openSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { readCheckpoint } from '../../src/weights/single-file/checkpoint.ts';
import { paramsFromWeights } from '../../src/weights/source.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
import { tensorOf } from './model-cases.ts';

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
        const { images, latents } = await pipeline.run({
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
