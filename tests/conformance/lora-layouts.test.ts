/**
 * LoRA files as peft, diffusers and its scripts write them, on a UNet and a text encoder. Expected is what diffusers and
 * transformers compute with W + α/r·B·A put into the weights by hand; peft's own layers agree with it to 3e-6.
 */
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openLora } from '../../src/components/node/open-lora.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import { elementCount } from '../../src/graph/shape.ts';
import { clipText, clipTextConfig } from '../../src/models/clip-text.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { Generator } from '../../src/random/generator.ts';
import { formatLora } from '../../src/weights/format-lora.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import type { Lora } from '../../src/weights/lora-file.ts';
import { openSafetensors, writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { temporaryFolder } from '../cli/lcm.ts';
import { addTensor } from '../weights/foreign-tensors.ts';
import { adaptedOutputs, unetOutput } from './adapted.ts';
import { expectClose, floats, goldenDir, readJson, readTensors } from './golden.ts';

const layouts = fileURLToPath(new URL('../fixtures/lora-layouts', import.meta.url));
const golden = join(goldenDir, 'lora');
const expected = readTensors(layouts, 'outputs.safetensors');
const folder = temporaryFolder();
afterAll(folder.remove);
const engine = createNodeEngine({ threads: 1 });
afterAll(() => engine.dispose());

const io = readTensors(golden, 'io.safetensors');
const base = readTensors(golden, 'unet/diffusion_pytorch_model.safetensors');
const config = unet2DConditionConfig(readJson(golden, 'unet', 'config.json'));

async function expectOutput(lora: Lora, name: string): Promise<void> {
  const { output } = await adaptedOutputs(
    engine,
    base,
    'unet',
    [{ lora, strength: 1 }],
    io,
    unetOutput(config),
  );
  expectClose(output!.data as Float32Array, floats(expected, name), 2e-5, 'relative');
}

describe('a LoRA for a UNet', () => {
  it.each([
    // adapter_model.safetensors and adapter_config.json, with regular expressions for alphas and ranks.
    ['peft', 'peft'],
    ['peft/adapter_model.safetensors', 'peft'],
    ['rslora', 'rslora'],
    // unet.base_model.model.…, without a word on alpha, as diffusers' LCM-LoRA script for Stable Diffusion saves it.
    ['lcm-script/unet_lora', 'lcm-script'],
    // unet.save_lora_adapter.
    ['unprefixed', 'unprefixed'],
    // pipeline.save_lora_weights with the adapter's configuration.
    ['metadata', 'metadata'],
    // ….lora_A.default_0.weight.
    ['adapter-name', 'metadata'],
    // convert_state_dict_to_kohya: alphas as int64.
    ['kohya-int64', 'kohya-int64'],
  ])('is read from %s', async (path, name) => {
    await expectOutput(await openLora(join(layouts, path)), name);
  });

  it('has the alphas that peft gives its layers', async () => {
    const { layers, warnings } = await openLora(join(layouts, 'peft'));
    const alphas = readJson<Record<string, number>>(layouts, 'alphas.json');
    const byKey = Object.entries(alphas).map(([layer, alpha]) => [layer.replaceAll('.', '_'), alpha]);
    expect(new Map([...layers.unet].map(([key, { alpha }]) => [key, alpha]))).toEqual(new Map(byKey as []));
    // peft saves the patterns in alphabetical order, in which a general one stands before these.
    expect(warnings).toEqual([
      expect.stringMatching(/of alpha_pattern, \S*to_\[qk\], \S*to_q holds for no layer/),
    ]);
    expect((await openLora(join(layouts, 'metadata'))).warnings).toEqual([]);
  });

  it('may say alpha in any type of numbers, as a scalar or a list of one', async () => {
    const { weights } = await openSafetensors(join(layouts, 'kohya-int64/style.safetensors'));
    const tensors = await loadTensors(weights);
    const five: readonly HostTensor[] = [
      hostTensor(Int8Array.of(5), []),
      hostTensor(Uint8Array.of(5), [1]),
      hostTensor(Int32Array.of(5), []),
      hostTensor(BigInt64Array.of(5n), [1]),
      hostTensor(Float32Array.of(5), []),
      hostTensor(Float64Array.of(5), [1]),
      hostTensor(Uint16Array.of(0x4500), [], 'float16'),
      hostTensor(Uint16Array.of(0x40a0), [1], 'bfloat16'),
    ];
    let at = 0;
    for (const name of tensors.keys()) {
      if (name.endsWith('.alpha')) tensors.set(name, five[at++ % five.length]!);
    }
    expect(at).toBeGreaterThanOrEqual(five.length);
    const file = join(folder.path, 'alphas.safetensors');
    await writeSafetensors(file, tensors);
    await expectOutput(await openLora(file), 'kohya-alpha-5');
  });

  it.each([
    ['I16', 2, 0x0101],
    ['U16', 2, 0x0101],
    ['U32', 4, 0x0101_0101],
    ['U64', 8, Number(0x0101_0101_0101_0101n)],
  ])('may say alpha as %s', async (dtype, bytes, alpha) => {
    const { weights } = await openSafetensors(join(layouts, 'kohya-int64/style.safetensors'));
    const tensors = await loadTensors(weights);
    const [name] = [...tensors.keys()].filter((each) => each.endsWith('.alpha'));
    tensors.delete(name!);
    const file = join(folder.path, `${dtype}.safetensors`);
    await writeSafetensors(file, tensors);
    addTensor(file, name!, { dtype, shape: [] }, bytes);
    const { layers } = await openLora(file);
    expect(layers.unet.get(name!.slice('lora_unet_'.length, -'.alpha'.length))).toMatchObject({ alpha });
  });

  it('is read without the configuration of another file beside it, and with a warning without its own', async () => {
    const copy = join(folder.path, 'style');
    mkdirSync(copy);
    const peft = (name: string) => join(layouts, 'peft', name);
    cpSync(peft('adapter_model.safetensors'), join(copy, 'adapter_model.safetensors'));
    const alone = await openLora(copy);
    expect(alone.warnings).toEqual([
      expect.stringMatching(
        /style.adapter_model\.safetensors has no adapter_config\.json .* taken is the rank$/,
      ),
    ]);
    cpSync(peft('adapter_config.json'), join(copy, 'adapter_config.json'));
    cpSync(
      join(layouts, 'lcm-script/unet_lora/pytorch_lora_weights.safetensors'),
      join(copy, 'other.safetensors'),
    );
    expect((await openLora(join(copy, 'other.safetensors'))).layers.unet.values().next().value).toMatchObject(
      {
        alpha: undefined,
      },
    );
    await expectOutput(await openLora(copy), 'peft');
  });
});

it('a LoRA for a text encoder is read as peft saves it', async () => {
  const inputs = readTensors(golden, 'text_io.safetensors');
  const textBase = readTensors(golden, 'text_encoder/model.safetensors');
  const textConfig = clipTextConfig(readJson(golden, 'text_encoder', 'config.json'));
  const loras = [{ lora: await openLora(join(layouts, 'text-encoder')), strength: 1 }];
  const write = (
    params: Parameters<typeof clipText>[1],
    input: (name: string) => Parameters<typeof clipText>[2],
  ) => ({
    states: clipText(textConfig, params, input('input_ids')).lastHiddenState,
  });
  const { states } = await adaptedOutputs(engine, textBase, 'text_encoder', loras, inputs, write);
  expectClose(states!.data as Float32Array, floats(expected, 'text-encoder'), 1e-5, 'relative');
});

/** Random factors of rank 3 for a linear layer and two convolutions. */
function randomFactors(): Map<string, HostTensor> {
  const random = new Generator(11);
  const factors = new Map<string, HostTensor>();
  for (const layer of [
    'mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0',
    'down_blocks.0.downsamplers.0.conv',
    'up_blocks.1.resnets.0.conv_shortcut',
  ]) {
    const [outputs, ...inputs] = base.get(`${layer}.weight`)!.shape as [number, ...number[]];
    const shapes = { A: [3, ...inputs], B: [outputs, 3, ...inputs.slice(1).map(() => 1)] };
    for (const [factor, shape] of Object.entries(shapes)) {
      const values = random.normal(elementCount(shape)).map((value) => 0.3 * value);
      factors.set(`${layer}.lora_${factor}.weight`, hostTensor(values, shape));
    }
  }
  return factors;
}

it('a LoRA that is written here is, byte for byte, one that diffusers and peft load and draw the same with', async () => {
  const { tensors, metadata } = formatLora(randomFactors(), { rank: 3, alpha: 4.5, isConsistency: true });
  const file = join(folder.path, 'pytorch_lora_weights.safetensors');
  await writeSafetensors(file, tensors, metadata);
  const loaded = join(layouts, 'written', 'pytorch_lora_weights.safetensors');
  expect(readFileSync(file).equals(readFileSync(loaded))).toBe(true);
  const lora = await openLora(file);
  expect(lora).toMatchObject({ isConsistency: true, warnings: [] });
  await expectOutput(lora, 'written');
});
