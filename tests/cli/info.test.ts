/** `lcm info` on every kind of file that it knows, and on those that it does not. */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import { createImage } from '../../src/images/image.ts';
import { encodePng } from '../../src/images/png.ts';
import { writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { addTensor } from '../weights/foreign-tensors.ts';
import { originalOpenClip, originalUNet } from '../weights/original-layout.ts';
import { copyModel, tinyModel, workspace } from './lcm.ts';

const golden = fileURLToPath(new URL('../fixtures/golden', import.meta.url));
const COMMIT = 'c'.repeat(40);

const { at, run } = workspace();
const info = (...args: string[]) => run('info', ...args);
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

async function facts(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await info(...args, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.trimEnd()).not.toContain('\n');
  return JSON.parse(stdout) as Record<string, unknown>;
}

beforeAll(async () => {
  // No model and no tokenizer of this machine's cache may be found.
  vi.stubEnv('HF_HUB_CACHE', at('cache'));
  const hub = at('cache', 'models--someone--tiny');
  mkdirSync(join(hub, 'refs'), { recursive: true });
  writeFileSync(join(hub, 'refs', 'main'), COMMIT);
  cpSync(tinyModel, join(hub, 'snapshots', COMMIT), { recursive: true });
});
afterAll(() => {
  vi.unstubAllEnvs();
});

describe('a model', () => {
  it('may hold tensors that are not read, which are named', async () => {
    const model = copyModel(at());
    const unet = join(model, 'unet', 'diffusion_pytorch_model.safetensors');
    addTensor(unet, 'scaled_fp8', { dtype: 'F8_E4M3', shape: [2] }, 2);
    expect(await facts(model)).toMatchObject({
      foreign: ['scaled_fp8'],
      parts: { unet: { dtypes: ['float32', 'F8_E4M3'] } },
    });
    const { stdout } = await info(model);
    expect(stdout).toMatch(/^ {2}unet .* of float32 and F8_E4M3$/m);
    expect(stdout).toMatch(/^ {2}not read {6}scaled_fp8$/m);

    cpSync(join(golden, 'pipelines', 'single_file'), at('marked'), { recursive: true });
    const single = at('marked', 'model_fp16.safetensors');
    addTensor(single, 'scaled_fp8', { dtype: 'F8_E5M2', shape: [0] }, 0);
    expect(await facts(single)).toMatchObject({ type: 'model', foreign: ['scaled_fp8'] });
  });

  it('says what it has read, and generation warns of anything else', async () => {
    const model = copyModel(at());
    const captions = { words: ['the', 'sea', 'castle'], complete: true, examples: ['the sea', 'the castle'] };
    writeFileSync(join(model, 'tokenizer', 'training_captions.json'), JSON.stringify(captions));
    expect(await facts(model)).toMatchObject({ captions });
    expect((await info(model)).stdout).toMatch(
      /^ {2}words {9}3: the sea castle\n {2}such as {7}"the sea"\n {16}"the castle"$/m,
    );
    const words = ['--model', model, '--steps', '1', '--out', at('words.png')];
    const drawn = await run('generate', 'The sea, the caslte', ...words);
    expect(drawn.stderr).toContain('never read "caslte" (the nearest that it has read is "castle")');
    const known = await run('generate', 'the sea', ...words);
    expect(known.code).toBe(0);
    expect(known.stderr).not.toContain('never read');
  });

  it('is a diffusers directory, or a name on the hub', async () => {
    const model = await facts(tinyModel);
    expect(model).toMatchObject({
      type: 'model',
      layout: 'diffusers directory',
      latentConsistency: true,
      inpainting: false,
      pipeline: 'LatentConsistencyModelPipeline',
      scheduler: 'LCMScheduler',
      prediction: 'epsilon',
      size: 64,
      tokens: 77,
      parts: { unet: { dtypes: ['float32'], config: { cross_attention_dim: 24 } } },
    });
    const files = model.files as { path: string; sha256: string }[];
    expect(files.map(({ path }) => path.slice(tinyModel.length + 1))).toEqual([
      'unet/diffusion_pytorch_model.safetensors',
      'vae/diffusion_pytorch_model.safetensors',
      'text_encoder/model.safetensors',
    ]);
    for (const { path, sha256: hash } of files) expect(hash).toBe(sha256(path));

    const { stdout } = await info('someone/tiny');
    expect(stdout).toMatch(
      /^someone\/tiny: a model of its own size, latent consistency \(diffusers directory .*\)\n/,
    );
    expect(stdout).toMatch(/\n {2}unet {13}70\.7 k parameters, \d{3} kB of float32\n/);
  });

  it('draws with its own scheduler, or only with one that is asked for', async () => {
    expect(await facts(tinyModel)).toMatchObject({ sampler: 'lcm' });
    const model = copyModel(at());
    const path = join(model, 'model_index.json');
    const index = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...index, scheduler: ['diffusers', 'DPMSolverSDEScheduler'] }));
    expect(await facts(model)).toMatchObject({
      scheduler: 'DPMSolverSDEScheduler',
      samplerProblem: 'it is not among those here',
    });
    const { stdout } = await info(model);
    expect(stdout).toMatch(
      /^ {2}draws with {4}what --scheduler says; its own cannot be used: it is not among those here$/m,
    );
  });

  it('is a checkpoint, even where a tokenizer is missing and the file does not say what it predicts', async () => {
    const unet = { modelChannels: 64, channelMult: [1, 1], depths: [1, 1], midDepth: 1, contextDim: 64 };
    const shapes = [
      ...originalUNet({ ...unet, inChannels: 4, linear: true }),
      ...originalOpenClip('cond_stage_model.model.', 64, 2),
    ];
    const tensors = shapes.map(([name, shape]): [string, HostTensor] => {
      const length = shape.reduce((product, size) => product * size, 1);
      return [name, { dtype: 'int8', shape, data: new Int8Array(length) }];
    });
    await writeSafetensors(at('sd2.safetensors'), new Map(tensors), { 'modelspec.title': 'Two' });
    const model = await facts('sd2.safetensors');
    expect(model).toMatchObject({
      layout: 'single file',
      family: 'stable-diffusion-2',
      metadata: { 'modelspec.title': 'Two' },
      prediction: 'v_prediction',
      predictionFrom: 'family',
      files: [{ path: at('sd2.safetensors'), sha256: sha256(at('sd2.safetensors')) }],
      problem: expect.stringMatching(/has no vae|carries no tokenizer/),
    });
    expect(Object.keys(model.parts as object)).toEqual(['unet', 'text_encoder']);
  });
});

it('a LoRA by its layout, ranks and alphas', async () => {
  const lora = join(golden, 'lora/lcm_kohya.safetensors');
  expect(await facts(lora)).toMatchObject({
    type: 'lora',
    format: 'kohya',
    consistency: true,
    metadata: { ss_network_dim: '4' },
    networks: { unet: { layers: 115, ranks: [4], alphas: [4] } },
    files: [{ sha256: sha256(lora) }],
    automatic1111: tensorsHash(lora),
  });
  const { stdout } = await info(join(golden, 'lora/style_peft'));
  expect(stdout).toMatch(/style_peft: a LoRA, peft layout\n/);
  expect(stdout).toMatch(/\n {2}unet {10}115 layers, rank 3, alpha 8\n/);
  const other = new Map([['lora_unet_mid.hada_w1_a', hostTensor(Float32Array.of(1), [1, 1])]]);
  await writeSafetensors(at('loha.safetensors'), other);
  expect(await facts('loha.safetensors')).toMatchObject({
    problem: expect.stringMatching(/belongs to LoHa, which is not supported/),
    firstKeys: ['lora_unet_mid.hada_w1_a'],
  });
});

it("a LoRA as peft and diffusers' scripts write it", async () => {
  const layouts = fileURLToPath(new URL('../fixtures/lora-layouts', import.meta.url));
  const peft = join(layouts, 'peft');
  expect(await facts(peft)).toMatchObject({
    type: 'lora',
    format: 'peft',
    consistency: false,
    networks: { unet: { layers: 14, ranks: [2, 3, 4], alphas: [5, 6, 7.5, 9, 10, 100] } },
    warnings: [
      expect.stringMatching(/adapter_config\.json: of alpha_pattern, .* holds for no layer of the unet/),
    ],
    automatic1111: tensorsHash(join(peft, 'adapter_model.safetensors')),
  });
  const { stdout, stderr } = await run('info', peft);
  expect(stdout).toMatch(/\n {2}but {11}.*adapter_config\.json: of alpha_pattern/);
  expect(stderr).toBe('');
  expect(await facts(join(layouts, 'lcm-script/unet_lora'))).toMatchObject({
    networks: { unet: { layers: 3, ranks: [4], alphas: [4] } },
  });
  expect(await facts(join(layouts, 'unprefixed'))).toMatchObject({ networks: { unet: { alphas: [3, 8] } } });
  expect(await facts(join(layouts, 'text-encoder'))).toMatchObject({
    networks: { text_encoder: { layers: 4, ranks: [2], alphas: [3, 7] } },
  });
});

it('a LoRA with alphas of any type of numbers', async () => {
  const layouts = fileURLToPath(new URL('../fixtures/lora-layouts', import.meta.url));
  const int64 = join(layouts, 'kohya-int64/style.safetensors');
  expect(await facts(int64)).toMatchObject({
    networks: { unet: { layers: 12, ranks: [2], alphas: [2] } },
    automatic1111: tensorsHash(int64),
  });
  const factor = hostTensor(Float32Array.of(1), [1, 1]);
  const layers = ['a', 'b', 'c'].flatMap((layer): [string, HostTensor][] => [
    [`lora_unet_${layer}.lora_down.weight`, factor],
    [`lora_unet_${layer}.lora_up.weight`, factor],
  ]);
  const alphas: [string, HostTensor][] = [
    ['lora_unet_a.alpha', hostTensor(Uint16Array.of(0x3c00), [], 'float16')],
    ['lora_unet_b.alpha', hostTensor(Uint16Array.of(0x4000), [1], 'bfloat16')],
    ['lora_unet_c.alpha', hostTensor(Int8Array.of(3), [])],
  ];
  await writeSafetensors(at('mixed.safetensors'), new Map([...layers, ...alphas]));
  expect(await facts('mixed.safetensors')).toMatchObject({ networks: { unet: { alphas: [1, 2, 3] } } });
});

it('an autoencoder, as a file or a folder', async () => {
  expect(await facts(join(golden, 'models/vae_tiny'))).toMatchObject({
    type: 'network',
    class: 'AutoencoderTiny',
    config: { latent_channels: 4 },
    dtypes: ['float32'],
  });
  const file = await facts(join(golden, 'models/vae_kl_2x/diffusion_pytorch_model.safetensors'));
  expect(file).toMatchObject({ class: 'AutoencoderKL', config: { block_out_channels: [8, 12] } });
  expect(file.config).not.toHaveProperty('scaling_factor');
});

it('a UNet, as a file or a folder, and what it makes of a model', async () => {
  const unet = join(golden, 'pipelines/sdxl/unet_lcm');
  expect(await facts(unet)).toMatchObject({ type: 'network', class: 'UNet2DConditionModel' });
  const file = await facts(join(unet, 'diffusion_pytorch_model.safetensors'));
  expect(file).toMatchObject({
    type: 'network',
    class: 'UNet2DConditionModel',
    config: { in_channels: 4, out_channels: 4, time_cond_proj_dim: 16 },
  });
  const sdxl = join(golden, 'pipelines/sdxl/model');
  expect(await facts(sdxl, '--unet', unet)).toMatchObject({
    type: 'model',
    latentConsistency: true,
    guidance: 'built in (one pass)',
    parts: { unet: { config: { time_cond_proj_dim: 16 } } },
  });
  const { code, stderr } = await run('info', unet, '--unet', unet);
  expect(code).toBe(1);
  expect(stderr).toMatch(/holds a UNet alone.*pass it with --unet, beside a model of its kind/);
});

it('a picture, made here or by Automatic1111', async () => {
  const parameters = 'a fox\nSteps: 20, Sampler: Euler a, Seed: 7';
  writeFileSync(at('other.png'), await encodePng(createImage(8, 8, 3), { parameters }));
  const foreign = { program: 'Automatic1111', prompt: 'a fox', steps: 20, seed: 7, scheduler: 'euler-a' };
  expect(await facts('other.png')).toEqual({
    type: 'picture',
    path: 'other.png',
    parameters,
    foreign: { ...foreign, loras: [], leftOut: [] },
  });
  const settings = { prompt: 'a fox', seed: 7, steps: 4 };
  const text = { 'latent-consistency': JSON.stringify(settings) };
  writeFileSync(at('ours.png'), await encodePng(createImage(8, 8, 3), text));
  expect(await facts('ours.png')).toMatchObject({ type: 'picture', settings });
});

it('a JPEG, WebP, AVIF or GIF of Automatic1111, and pictures of ComfyUI', async () => {
  const fixtures = fileURLToPath(new URL('../fixtures/pictures/', import.meta.url));
  for (const name of ['automatic1111.jpg', 'automatic1111.webp', 'automatic1111.avif', 'comment.gif']) {
    const { stdout } = await info(join(fixtures, 'settings', name));
    expect(stdout, name).toMatch(/^a \(red:1\.2\) fox .*\nby the sea\nNegative prompt: .*\nSteps: 20, .*\n/);
    expect(stdout, name).toMatch(
      /\n {2}not here {6}weights in the prompt, ADetailer model face_yolov8n\.pt\n$/,
    );
  }
  const { stdout } = await info(join(fixtures, 'settings/comfyui.webp'));
  expect(stdout).toMatch(/^settings of ComfyUI\n {2}prompt {8}a red fox \(animal\), 雪\n/);
  expect(stdout).toMatch(/\n {2}negativePrompt \S/);
  expect(stdout).toMatch(/\n {2}scheduler {5}lcm\n.*\n {2}LoRA {10}lcm-lora-sdv1-5\.safetensors at 1\n/s);
  const plain = await info(join(fixtures, '420.jpg'));
  expect(plain.stderr).toMatch(/^lcm: .*420\.jpg carries no settings; only pictures saved with them do\n$/);
});

it("shows what a terminal would obey in other people's texts", async () => {
  const parameters = '\x1b]0;owned\x07a fox \u202etxt\nSteps: 20\x9b2J';
  const picture = at('obeyed\x1b[2J.png');
  writeFileSync(picture, await encodePng(createImage(8, 8, 3), { parameters }));
  const lora = new Map([['lora_unet_\x1b[31m.hada_w1_a', hostTensor(Float32Array.of(1), [1, 1])]]);
  await writeSafetensors(at('painted.safetensors'), lora, { ss_tag: '\x1b]0;owned\x07' });
  const { stdout } = await info(picture);
  expect(stdout).toBe('\\x1b]0;owned\\x07a fox \\u202etxt\nSteps: 20\\x9b2J\n');
  const json = (await info(picture, '--json')).stdout;
  expect(JSON.parse(json)).toEqual({ type: 'picture', path: picture, parameters });
  const said = [json, (await info('painted.safetensors')).stdout, (await info('\x1b[31m\nx.png')).stderr];
  expect(said[1]).toMatch(/metadata {6}ss_tag: \\x1b\]0;owned\\x07\n/);
  expect(said[2]).toMatch(/^lcm: \\x1b\[31m\\nx\.png: there is no such file/);
  for (const text of said) expect(text).toMatch(/^[^\p{Cc}]*(\n[^\p{Cc}]*)*$/u);
});

it('says what it expected in place of anything else', async () => {
  writeFileSync(at('plain.png'), await encodePng(createImage(8, 8, 3)));
  writeFileSync(at('notes.txt'), 'words');
  writeFileSync(at('model.ckpt'), 'anything');
  mkdirSync(at('empty'));
  symlinkSync('/dev/zero', at('endless'));
  const tensors = new Map([['wte.weight', hostTensor(Float32Array.of(1), [1])]]);
  await writeSafetensors(at('gpt.safetensors'), tensors);
  const expected: readonly (readonly [string, RegExp])[] = [
    ['plain.png', /plain\.png carries no settings/],
    ['notes.txt', /notes\.txt is of another kind; expected a diffusers directory, .* or a picture/],
    ['model.ckpt', /model\.ckpt is a Python pickle/],
    ['empty', /empty holds neither model_index\.json, config\.json, .*; expected a diffusers directory/],
    ['gpt.safetensors', /gpt\.safetensors holds tensors \(wte\.weight\) that belong neither to .*; expected/],
    ['nowhere.png', /nowhere\.png: there is no such file or folder; expected/],
    ...(process.platform === 'win32' ? [] : [['endless', /endless is a device; expected a file/] as const]),
    ['some/one', /some\/one \(main\) is not in the cache .*lcm pull some\/one/],
  ];
  for (const [path, message] of expected) {
    const { code, stdout, stderr } = await info(path);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^lcm: [^\n]*\n$/);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  }
});

/** As Automatic1111 knows a LoRA: without the header. */
function tensorsHash(path: string): string {
  const file = readFileSync(path);
  const data = file.subarray(8 + Number(file.readBigUInt64LE(0)));
  return createHash('sha256').update(data).digest('hex').slice(0, 12);
}
