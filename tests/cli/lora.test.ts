/** `lcm generate --lora` from end to end: a tiny model with tiny LoRAs in the layouts that are about. */
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { float32Data, type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import { decodePng } from '../../src/images/png.ts';
import { readPngText } from '../../src/images/png-text.ts';
import { readPictureSettings } from '../../src/pipelines/picture-text.ts';
import { Generator } from '../../src/random/generator.ts';
import { randnTensor } from '../../src/random/randn-tensor.ts';
import { formatLora } from '../../src/weights/format-lora.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import type { LoraComponent } from '../../src/weights/lora-file.ts';
import { openSafetensors, writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { kohyaLora } from '../kohya-lora.ts';
import { tinyModel, tinyTeacher, workspace } from './lcm.ts';

type Tensors = Map<string, HostTensor>;

const { at, read, run } = workspace();
const drawn = ['generate', 'a red fox', '--model', 'model', '--seed', '7', '--steps', '3'];
const pixels = async (name: string) => (await decodePng(read(name))).data;
const settingsOf = async (name: string) => readPictureSettings(await readPngText(read(name)));

const WEIGHTS: Readonly<Record<string, string>> = {
  unet: 'unet/diffusion_pytorch_model.safetensors',
  text_encoder: 'text_encoder/model.safetensors',
};

async function weightsOf(model: string, component: LoraComponent): Promise<Tensors> {
  return loadTensors((await openSafetensors(join(model, WEIGHTS[component]!))).weights);
}

/** Random factors of the attention's projections, and of convolutions, under the layers' names. */
function randomFactors(weights: Tensors, rank: number, seed: number): Tensors {
  const generator = new Generator(seed);
  const factors: Tensors = new Map();
  const normal = (shape: readonly number[], deviation: number) =>
    hostTensor(
      randnTensor(shape, generator).map((value) => value * deviation),
      shape,
    );
  for (const [name, { shape }] of weights) {
    const layer = /^(.*\.(?:to_q|to_v|conv1|q_proj|fc1))\.weight$/.exec(name)?.[1];
    if (layer === undefined) continue;
    const [outputs, ...inputs] = shape as [number, ...number[]];
    factors.set(`${layer}.lora_A.weight`, normal([rank, ...inputs], 0.3));
    factors.set(`${layer}.lora_B.weight`, normal([outputs, rank, ...inputs.slice(1).map(() => 1)], 0.3));
  }
  expect(factors.size).toBeGreaterThan(4);
  return factors;
}

/** W + scale · B·A, in place. */
function merge(weights: Tensors, factors: Tensors, rank: number, scale: number): void {
  for (const [name, down] of factors) {
    if (!name.endsWith('.lora_A.weight')) continue;
    const layer = name.slice(0, -'.lora_A.weight'.length);
    const [a, b] = [float32Data(down), float32Data(factors.get(`${layer}.lora_B.weight`)!)];
    const { data, shape } = weights.get(`${layer}.weight`)!;
    const inputs = data.length / shape[0]!;
    for (let i = 0; i < data.length; i++) {
      let product = 0;
      for (let r = 0; r < rank; r++)
        product += b[Math.floor(i / inputs) * rank + r]! * a[r * inputs + (i % inputs)]!;
      (data as Float32Array)[i]! += scale * product;
    }
  }
}

beforeAll(async () => {
  cpSync(tinyTeacher, at('model'), { recursive: true });
  cpSync(tinyTeacher, at('merged'), { recursive: true });
  cpSync(join(tinyModel, 'vae'), at('vae'), { recursive: true });
  const unet = await weightsOf(tinyTeacher, 'unet');
  const text = await weightsOf(tinyTeacher, 'text_encoder');

  // kohya's layout, on both networks: rank 2, alpha 1.
  const ofUNet = randomFactors(unet, 2, 1);
  const ofText = randomFactors(text, 2, 2);
  const both = new Map([
    ...kohyaLora(ofUNet, { component: 'unet', alpha: 1 }),
    ...kohyaLora(ofText, { component: 'text_encoder', alpha: 1 }),
  ]);
  await writeSafetensors(at('style.safetensors'), both, { ss_network_dim: '2' });
  // peft's, on the UNet: rank 3, alpha 6. Its name says that it is an LCM-LoRA.
  const other = randomFactors(unet, 3, 3);
  const peft = formatLora(other, { rank: 3, alpha: 6 });
  await writeSafetensors(at('tiny-lcm.safetensors'), peft.tensors, peft.metadata);
  // The same as peft itself saves it.
  mkdirSync(at('lcm-peft'));
  const wrapped = [...other].map(([name, factor]) => [`base_model.model.${name}`, factor] as const);
  await writeSafetensors(at('lcm-peft', 'adapter_model.safetensors'), new Map(wrapped));
  const config = { r: 3, lora_alpha: 6, peft_type: 'LORA' };
  writeFileSync(at('lcm-peft', 'adapter_config.json'), JSON.stringify(config));

  merge(unet, ofUNet, 2, 1 / 2);
  merge(text, ofText, 2, 1 / 2);
  merge(unet, other, 3, 0.8 * (6 / 3));
  await writeSafetensors(at('merged', WEIGHTS.unet!), unet);
  await writeSafetensors(at('merged', WEIGHTS.text_encoder!), text);
});

it('draws with two LoRAs what a model with their sum in its weights draws', async () => {
  const guided = ['--scheduler', 'ddim', '--guidance-scale', '3'];
  const loras = ['--lora', 'style.safetensors:1.0', '--lora', 'tiny-lcm.safetensors:0.8'];
  const adapted = await run(...drawn, ...guided, ...loras, '--out', 'adapted.png');
  expect({ code: adapted.code, stderr: adapted.stderr }).toEqual({ code: 0, stderr: '' });
  expect((await run(...drawn, ...guided, '--out', 'plain.png')).code).toBe(0);
  expect((await run(...drawn, ...guided, '--model', 'merged', '--out', 'merged.png')).code).toBe(0);
  const [with_, without, merged] = await Promise.all(['adapted.png', 'plain.png', 'merged.png'].map(pixels));
  const difference = (other: Uint8Array) =>
    with_!.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i]!)), 0);
  expect(difference(merged!)).toBeLessThanOrEqual(1);
  expect(difference(without!)).toBeGreaterThan(8);
  expect((await readPngText(read('adapted.png'))).parameters).toMatch(
    /^a red fox <lora:style:1> <lora:tiny-lcm:0\.8>\n.*, Lora hashes: "style: [0-9a-f]{12}, tiny-lcm: [0-9a-f]{12}", /,
  );
});

it('draws with an LCM-LoRA in 4 steps without guidance', async () => {
  const args = ['generate', 'a red fox', '--model', 'model', '--seed', '7'];
  const { code, stderr } = await run(...args, '--lora', 'tiny-lcm.safetensors', '--out', 'lcm.png');
  expect(code).toBe(0);
  expect(stderr).toMatch(/^with an LCM-LoRA: LCM scheduler, and unless given 4 steps at guidance scale 1\n$/);
  expect(await settingsOf('lcm.png')).toMatchObject({ scheduler: 'lcm', steps: 4, guidanceScale: 1 });
});

it('draws with an LCM-LoRA on a model whose own scheduler is not there', async () => {
  cpSync(at('model'), at('exotic'), { recursive: true });
  const config = at('exotic', 'scheduler', 'scheduler_config.json');
  const own = JSON.parse(readFileSync(config, 'utf8'));
  writeFileSync(config, JSON.stringify({ ...own, _class_name: 'ScoreSdeVeScheduler' }));
  const index = at('exotic', 'model_index.json');
  const parts = JSON.parse(readFileSync(index, 'utf8'));
  writeFileSync(index, JSON.stringify({ ...parts, scheduler: ['diffusers', 'ScoreSdeVeScheduler'] }));
  const args = ['generate', 'a red fox', '--model', 'exotic', '--seed', '7', '--steps', '2'];

  const alone = await run(...args, '--out', 'none.png');
  expect(alone).toMatchObject({ code: 2, stdout: '' });
  expect(alone.stderr).toMatch(/ScoreSdeVeScheduler/);
  for (const lora of ['tiny-lcm.safetensors', 'lcm-peft']) {
    const drawn = await run(...args, '--lora', lora, '--out', `${lora}.png`);
    expect(drawn.code).toBe(0);
    expect(drawn.stderr).toMatch(/^with an LCM-LoRA: LCM scheduler/);
  }
  expect(await pixels('lcm-peft.png')).toEqual(await pixels('tiny-lcm.safetensors.png'));
  expect((await readPngText(read('lcm-peft.png'))).parameters).toMatch(/<lora:lcm-peft:1>/);
});

it("draws with peft's own folder, and warns of what in it holds for nothing", async () => {
  const args = [...drawn, '--scheduler', 'ddim', '--guidance-scale', '3'];
  expect((await run(...args, '--lora', 'tiny-lcm.safetensors:0.5', '--out', 'whole.png')).code).toBe(0);
  const config = { r: 3, peft_type: 'LORA', lora_alpha: 100, alpha_pattern: { '.*': 6, 'attn9.to_q': 1 } };
  writeFileSync(at('lcm-peft', 'adapter_config.json'), JSON.stringify(config));
  const peft = await run(...args, '--lora', 'lcm-peft:0.5', '--out', 'peft.png');
  expect(peft.code).toBe(0);
  expect(peft.stderr).toBe(
    `lcm: warning: ${join('lcm-peft', 'adapter_config.json')}: of alpha_pattern, attn9.to_q holds for no layer of the unet: it fits none, or an earlier one fits first\n`,
  );
  expect(await pixels('peft.png')).toEqual(await pixels('whole.png'));

  writeFileSync(at('lcm-peft', 'adapter_config.json'), JSON.stringify({ ...config, use_dora: true }));
  const dora = await run(...args, '--lora', 'lcm-peft', '--out', 'none.png');
  expect(dora).toMatchObject({ code: 1, stdout: '' });
  expect(dora.stderr).toBe(
    `lcm: ${join('lcm-peft', 'adapter_config.json')}: use_dora is true, which is not supported\n`,
  );
});

it('makes a picture again with its LoRAs and its autoencoder, and says what is not as it was', async () => {
  const loras = ['--lora', 'style.safetensors:0.5', '--lora', 'tiny-lcm.safetensors'];
  const made = await run(...drawn, ...loras, '--vae', 'vae', '--out', 'made.png');
  expect(made.code).toBe(0);
  const again = await run('generate', '--from', 'made.png', '--out', 'again.png');
  expect({ code: again.code, stderr: again.stderr }).toEqual({ code: 0, stderr: '' });
  expect(read('again.png')).toEqual(read('made.png'));
  expect(await settingsOf('made.png')).toMatchObject({
    model: 'model',
    scheduler: 'lcm',
    vae: { path: 'vae' },
    loras: [
      { path: 'style.safetensors', strength: 0.5 },
      { path: 'tiny-lcm.safetensors', strength: 1 },
    ],
  });
  // Nothing but what was typed.
  const texts = Object.values(await readPngText(read('made.png'))).join();
  expect(texts).not.toContain(at());

  renameSync(at('style.safetensors'), at('moved.safetensors'));
  const missing = await run('generate', '--from', 'made.png', '--out', 'none.png');
  expect(missing).toMatchObject({ code: 1, stdout: '' });
  expect(missing.stderr).toMatch(
    /^lcm: --from made\.png: it was drawn with the LoRA style\.safetensors, which is not there; say where it is with --lora <path>:0\.5\n$/,
  );

  cpSync(at('tiny-lcm.safetensors'), at('style.safetensors'));
  cpSync(at('merged', WEIGHTS.unet!), at('model', WEIGHTS.unet!));
  const changed = await run('generate', '--from', 'made.png', '--out', 'changed.png');
  expect(changed.code).toBe(0);
  expect(changed.stderr.split('\n')).toEqual([
    expect.stringMatching(
      /^lcm: warning: --from made\.png: the model model is not the one that the picture was/,
    ),
    expect.stringMatching(/^lcm: warning: --from made\.png: the LoRA style\.safetensors is not the one/),
    '',
  ]);
  expect(await pixels('changed.png')).not.toEqual(await pixels('made.png'));
});
