/** Networks that give NaN or infinity: said, with the network and the cause, and never drawn as a black picture. */
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { float32ToFloat16 } from '../src/graph/float16.ts';
import { createNodeEngine, createPipeline, diffusersFiles, hostTensor, InputError } from '../src/index.ts';
import type { PipelineOptions } from '../src/pipelines/pipeline.ts';
import { loadTensors } from '../src/weights/load-tensors.ts';
import { readLora } from '../src/weights/lora-file.ts';
import type { Weight } from '../src/weights/weights.ts';

const model = fileURLToPath(new URL('./fixtures/golden/pipelines/lcm/model', import.meta.url));
const engines: { dispose(): Promise<void> }[] = [];
afterAll(async () => {
  for (const each of engines) await each.dispose();
});

/** Draws with a model of which some weights were changed. */
async function draw(
  component: string,
  change: (name: string, values: Float32Array) => void,
  { numImages = 1, ...options }: Damaged = {},
) {
  const files = await diffusersFiles(model);
  const network = async (name: string) => {
    const stored = await files.network(name);
    if (name !== component) return stored;
    const weights = new Map<string, Weight>();
    for (const [key, { data, shape }] of await loadTensors(stored.weights)) {
      const values = Float32Array.from(data as Float32Array);
      change(key, values);
      const bytes = new Uint8Array(options.float16 ? float32ToFloat16(values).buffer : values.buffer);
      const dtype = options.float16 ? 'float16' : 'float32';
      weights.set(key, { dtype, shape, storage: { kind: 'bytes', bytes } });
    }
    return { ...stored, weights };
  };
  const pipeline = await createPipeline({ ...files, network }, createNodeEngine(), options);
  engines.push(pipeline);
  return pipeline.generate({ prompt: 'a fox', seed: 1, steps: 3, numImages });
}

interface Damaged extends PipelineOptions {
  readonly float16?: boolean;
  readonly numImages?: number;
}

/** Puts `value` into one element of the weight. */
const put = (weight: string, value: number) => (name: string, values: Float32Array) => {
  if (name === weight) values[values.length - 1] = value;
};
const unchanged = () => {};

it.each([
  [
    'unet',
    'conv_in.weight',
    Number.NaN,
    /^step 1 of 3: .*unet: the weight conv_in\.weight .* the UNet makes/,
  ],
  ['unet', 'mid_block.resnets.0.conv1.bias', Infinity, /^step 1 of 3: .*conv1\.bias holds NaN or infinity/],
  ['vae', 'decoder.conv_in.bias', -Infinity, /^\S+vae: the weight decoder\.conv_in\.bias .* the VAE decoder/],
  [
    'text_encoder',
    'text_model.final_layer_norm.weight',
    Number.NaN,
    /^\S+text_encoder: the weight .* the text encoder makes/,
  ],
])('names the weight of the %s, %s, that is %s', async (component, weight, value, message) => {
  for (const float16 of [false, true]) {
    const drawing = draw(component, put(weight, value), { float16 });
    await expect(drawing).rejects.toThrow(message);
    await expect(drawing).rejects.toThrow(InputError);
  }
});

it('finds a weight behind all others, with low memory and on replicas as well', async () => {
  const { weights } = await (await diffusersFiles(model)).network('unet');
  const last = [...weights.keys()].at(-1)!;
  const replicas = [createNodeEngine({ threads: 1 }), createNodeEngine({ threads: 1 })];
  for (const options of [{ lowMemory: true }, { replicas, numImages: 2 }]) {
    await expect(draw('unet', put(last, Number.NaN), options)).rejects.toThrow(
      `the weight ${last} holds NaN`,
    );
  }
});

it('says that values grow beyond measure where all weights are finite', async () => {
  const large = (name: string, values: Float32Array) => {
    if (name.startsWith('decoder.conv_')) values.fill(1e30);
  };
  await expect(draw('vae', large)).rejects.toThrow(
    /vae: what the VAE decoder computes on onnxruntime-node\/cpu, of latents up to \d\S*, grows to NaN or infinity, .* use another VAE$/,
  );
});

it('names the LoRA whose weight it is', async () => {
  const layer = 'unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q';
  const { weights } = await (await diffusersFiles(model)).network('unet');
  const [outputs, inputs] = weights.get(`${layer.slice('unet.'.length)}.weight`)!.shape as [number, number];
  const factor = (shape: number[], value: number): Weight => {
    const { data } = hostTensor(new Float32Array(shape[0]! * shape[1]!).fill(value), shape);
    return { dtype: 'float32', shape, storage: { kind: 'bytes', bytes: new Uint8Array(data.buffer) } };
  };
  const lora = readLora(
    new Map([
      [`${layer}.lora_A.weight`, factor([1, inputs], 0.1)],
      [`${layer}.lora_B.weight`, factor([outputs, 1], Number.NaN)],
    ]),
    {},
    'style.safetensors',
  );
  await expect(draw('', unchanged, { loras: [{ lora, strength: 1 }] })).rejects.toThrow(
    /^step 1 of 3: style\.safetensors: the weight lora\.0\.unet\..*lora_B\.weight holds NaN/,
  );
});

it('says where the scheduler, not a network, left the numbers', async () => {
  await expect(draw('unet', put('conv_out.bias', 3e38))).rejects.toThrow(
    /^step 1 of 3: the scheduler lcm makes NaN or infinity of what the network predicts; .* guidance scale 8\.5$/,
  );
});

it('draws where all is well', async () => {
  expect((await draw('unet', unchanged)).images).toHaveLength(1);
});
