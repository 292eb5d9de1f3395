import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkpoints } from '../../../tests/cli/stand-ins.ts';
import { createNodeEngine } from '../../engines/onnxruntime-node/engine.ts';
import { InputError } from '../../errors.ts';
import { createPipeline } from '../../pipelines/pipeline.ts';
import { openComponent } from '../../weights/diffusers-directory.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { openDiffusersDirectory } from '../../weights/node/diffusers-directory.ts';
import { writeSafetensors } from '../../weights/node/safetensors-file.ts';
import { type ConvertOptions, convertModel } from './convert-model.ts';
import { diffusersFiles } from './diffusers-files.ts';
import { openModel } from './open-model.ts';
import type { StoredModel } from './stored-model.ts';

const source = fileURLToPath(new URL('../../../tests/fixtures/golden/pipelines/lcm/model', import.meta.url));

describe('converting a diffusers directory', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lcm-convert-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const convert = async (model: string, target: string, options: ConvertOptions) =>
    convertModel(await diffusersFiles(model), target, options);
  const tensorsOf = async (path: string, part: string) =>
    loadTensors((await openComponent(await openDiffusersDirectory(path), part)).weights);

  it('halves the weights, rounded to the nearest value, and keeps the rest', async () => {
    const out = join(folder, 'half');
    await convert(source, out, { dtype: 'float16' });
    const before = await tensorsOf(source, 'unet');
    const after = await tensorsOf(out, 'unet');
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    for (const tensor of after.values()) expect(tensor.dtype).toBe('float16');
    const vocabulary = (path: string) => readFile(join(path, 'tokenizer/vocab.json'), 'utf8');
    expect(await vocabulary(out)).toBe(await vocabulary(source));
  });

  it('gives the same weights back from float32', async () => {
    const out = join(folder, 'same');
    await convert(source, out, { dtype: 'float32' });
    expect(await tensorsOf(out, 'vae')).toEqual(await tensorsOf(source, 'vae'));
  });

  /** A copy of the model in `<folder>/pkg/model`, with further entries in its index. */
  function stranger(entries: Readonly<Record<string, readonly [string, string]>> = {}): string {
    const model = join(folder, 'pkg', 'model');
    cpSync(source, model, { recursive: true });
    const index = join(model, 'model_index.json');
    const json = JSON.parse(readFileSync(index, 'utf8'));
    writeFileSync(index, JSON.stringify({ ...json, ...entries }));
    return model;
  }

  it.each(['../.vscode', 'unet/../../outside', '/tmp/outside', '..', '', 'a\\b', 'C:evil', 'nul'])(
    'refuses a model that calls a part %j, and writes nothing',
    async (name) => {
      const model = stranger({ [name]: ['transformers', 'CLIPTokenizer'] });
      mkdirSync(join(folder, 'pkg', '.vscode'));
      writeFileSync(join(folder, 'pkg', '.vscode', 'tasks.json'), '{}');
      const converted = convert(model, join(folder, 'out'), { dtype: 'float16' });
      await expect(converted).rejects.toThrow(/model_index\.json is called .*expected a plain name/);
      await expect(converted).rejects.toThrow(InputError);
      expect(await readdir(folder)).toEqual(['pkg']);
    },
  );

  it('copies the files that it knows, and no others', async () => {
    const model = stranger();
    writeFileSync(join(model, 'tokenizer', 'tasks.json'), '{}');
    writeFileSync(join(model, 'tasks.json'), '{}');
    writeFileSync(join(model, 'README.md'), Buffer.from([0xff, 0x41]));
    const out = join(folder, 'out');
    await convert(model, out, { dtype: 'float16' });
    expect((await readdir(join(out, 'tokenizer'))).sort()).toEqual(
      (await readdir(join(source, 'tokenizer'))).sort(),
    );
    expect(await readdir(out)).not.toContain('tasks.json');
    expect([...(await readFile(join(out, 'README.md')))]).toEqual([0xff, 0x41]);
  });

  it('copies no link that leads out of the model', async () => {
    const model = stranger();
    writeFileSync(join(folder, 'secret.json'), '{"token": "hf_secret"}');
    symlinkSync(join(folder, 'secret.json'), join(model, 'tokenizer', 'added_tokens.json'));
    const converted = convert(model, join(folder, 'out'), { dtype: 'float16' });
    await expect(converted).rejects.toThrow(/added_tokens\.json is a link to .*, outside of the model/);
    expect(await readdir(folder)).not.toContain('out');
  });

  it('copies the links of a cache of downloads, which consists of them', async () => {
    const root = join(folder, 'models--someone--tiny');
    const snapshot = join(root, 'snapshots', 'a'.repeat(40));
    mkdirSync(join(root, 'blobs'), { recursive: true });
    cpSync(source, snapshot, { recursive: true });
    const vocabulary = join(snapshot, 'tokenizer', 'vocab.json');
    renameSync(vocabulary, join(root, 'blobs', 'b'.repeat(40)));
    symlinkSync(`../../../blobs/${'b'.repeat(40)}`, vocabulary);
    const out = join(folder, 'out');
    await convert(snapshot, out, { dtype: 'float16' });
    expect(await readFile(join(out, 'tokenizer/vocab.json'), 'utf8')).toBe(
      await readFile(join(source, 'tokenizer/vocab.json'), 'utf8'),
    );
  });

  it('leaves out parts that it does not need and that are not there, and says which', async () => {
    const model = stranger({
      safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'],
      feature_extractor: ['transformers', 'CLIPImageProcessor'],
    });
    const out = join(folder, 'out');
    const leftOut = await convert(model, out, { dtype: 'float16' });
    expect(leftOut.map(({ part }) => part)).toEqual(['feature_extractor', 'safety_checker']);
    for (const { reason } of leftOut) expect(reason).toMatch(/holds nothing that could be copied/);
    const index = JSON.parse(await readFile(join(out, 'model_index.json'), 'utf8'));
    expect(index).toMatchObject({ safety_checker: [null, null], feature_extractor: [null, null] });
    rmSync(join(model, 'vae'), { recursive: true });
    await expect(convert(model, join(folder, 'none'), { dtype: 'float16' })).rejects.toThrow(/vae/);
  });

  it.each([
    ['reads', 1],
    ['writes', 7],
  ])('stops while it %s, and leaves nothing behind', async (_, parts) => {
    const { signal } = new AbortController();
    let asked = 0;
    vi.spyOn(signal, 'throwIfAborted').mockImplementation(() => {
      if (asked++ === parts) throw new Error('enough');
    });
    const converted = convert(source, join(folder, 'none'), { dtype: 'float16', signal });
    await expect(converted).rejects.toThrow('enough');
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('a model of several places, or of a single file', () => {
  const engine = createNodeEngine({ threads: 1 });
  const folder = mkdtempSync(join(tmpdir(), 'lcm-convert-'));
  afterAll(async () => {
    await engine.dispose();
    rmSync(folder, { recursive: true });
  });

  const pipelines = fileURLToPath(new URL('../../../tests/fixtures/golden/pipelines', import.meta.url));
  const [sd, lcm, sdxl] = ['sd', 'lcm', 'sdxl'].map((name) => join(pipelines, name, 'model')) as [
    string,
    string,
    string,
  ];
  const lcmSdxl = join(pipelines, 'sdxl/unet_lcm');
  const draw = async (model: StoredModel) => {
    const pipeline = await createPipeline(model, engine);
    const request = { prompt: 'a red fox', seed: 7, steps: 3, guidanceScale: 3, width: 64, height: 64 };
    return (await pipeline.generate(request)).latents;
  };
  const parsed = async (...path: string[]) => JSON.parse(await readFile(join(folder, ...path), 'utf8'));

  it.each(['sd1', 'sd2', 'sdxl', 'sd1Inpainting'] as const)(
    'draws the same as a directory: %s',
    async (name) => {
      const file = join(folder, `${name}.safetensors`);
      await checkpoints[name](file);
      const model = await openModel(file, { tokenizer: sd });
      const out = join(folder, name);
      expect(await convertModel(model, out, { dtype: 'float32' })).toEqual([]);
      const written = await openModel(out);
      const { pipelineClass, classes } = model;
      expect({ pipelineClass: written.pipelineClass, classes: new Set(written.classes) }).toEqual({
        pipelineClass,
        classes: new Set(classes),
      });
      if (name !== 'sd1Inpainting') expect(await draw(written)).toEqual(await draw(model));
      // What the configuration has no use for is not written: the last layer of Stable Diffusion 2's text encoder.
      const { config, weights } = await written.network('text_encoder');
      const { num_hidden_layers: layers } = config as { num_hidden_layers: number };
      expect([...weights.keys()].some((weight) => weight.includes(`layers.${layers - 1}.`))).toBe(true);
      expect([...weights.keys()].filter((weight) => weight.includes(`layers.${layers}.`))).toEqual([]);
      // transformers looks for the padding there.
      const padding = name === 'sd2' ? '!' : '<|endoftext|>';
      expect((await parsed(name, 'tokenizer/tokenizer_config.json')).pad_token).toBe(padding);
      if (name === 'sdxl')
        expect((await parsed(name, 'tokenizer_2/tokenizer_config.json')).pad_token).toBe('!');
    },
  );

  it.each([
    ['sd-lcm', sd, { unet: join(lcm, 'unet') }, 'StableDiffusionPipeline', 'LCMScheduler'],
    [
      'sdxl-lcm',
      sdxl,
      { unet: lcmSdxl, vae: join(pipelines, 'sd/taesd') },
      'StableDiffusionXLPipeline',
      'LCMScheduler',
    ],
    // diffusers' pipeline for consistency models takes no UNet without a guidance embedding.
    ['lcm-sd', lcm, { unet: join(sd, 'unet') }, 'StableDiffusionPipeline', 'LCMScheduler'],
    [
      'sd-inpaint',
      lcm,
      { unet: join(pipelines, 'sd/unet_inpaint9') },
      'StableDiffusionInpaintPipeline',
      'LCMScheduler',
    ],
  ])('is written with its other parts: %s', async (name, base, parts, pipelineClass, scheduler) => {
    const model = await openModel(base, parts);
    await convertModel(model, join(folder, name), { dtype: 'float32' });
    expect(await parsed(name, 'model_index.json')).toMatchObject({
      _class_name: pipelineClass,
      scheduler: ['diffusers', scheduler],
      unet: ['diffusers', 'UNet2DConditionModel'],
    });
    expect(await parsed(name, 'scheduler/scheduler_config.json')).toMatchObject({ _class_name: scheduler });
    if (name !== 'sd-inpaint')
      expect(await draw(await openModel(join(folder, name)))).toEqual(await draw(model));
  });

  it('says what it was said to predict, where it does not say that itself', async () => {
    const model = join(folder, 'silent');
    cpSync(sd, model, { recursive: true });
    const config = join(model, 'scheduler/scheduler_config.json');
    const { prediction_type: _, ...others } = JSON.parse(readFileSync(config, 'utf8'));
    writeFileSync(config, JSON.stringify(others));
    const said = await openModel(model, { predictionType: 'v_prediction' });
    await convertModel(said, join(folder, 'said'), { dtype: 'float32' });
    expect(await parsed('said', 'scheduler/scheduler_config.json')).toEqual({
      ...others,
      _class_name: 'DDIMScheduler',
      prediction_type: 'v_prediction',
    });
  });

  it('is refused, and nothing written, when a part lacks weights or has them for another model', async () => {
    const refusal = async (base: string, parts: { unet?: string; vae?: string }) => {
      const converted = openModel(base, parts).then((model) =>
        convertModel(model, join(folder, 'none'), { dtype: 'float16' }),
      );
      await expect(converted).rejects.toThrow(InputError);
      expect(await readdir(folder)).not.toContain('none');
      return converted.then(String, (error: Error) => error.message);
    };
    expect(await refusal(sdxl, { unet: join(sd, 'unet') })).toMatch(/cross_attention_dim is 24/);

    const tiny = await openModel(sd, { vae: join(pipelines, 'sd/taesd') });
    const tensors = await loadTensors((await tiny.network('vae')).weights);
    const decoder = new Map([...tensors].filter(([name]) => name.startsWith('decoder.')));
    cpSync(join(pipelines, 'sd/taesd'), join(folder, 'decoder'), { recursive: true });
    await writeSafetensors(join(folder, 'decoder/diffusion_pytorch_model.safetensors'), decoder);
    expect(await refusal(sd, { vae: join(folder, 'decoder') })).toMatch(
      /decoder lacks \d+ of the \d+ weights of the model: encoder\./,
    );
    await writeSafetensors(join(folder, 'decoder.safetensors'), decoder);
    expect(await refusal(sd, { vae: join(folder, 'decoder.safetensors') })).toMatch(
      /^the weight decoder\.layers\.0\.weight of .*decoder\.safetensors is stored with the shape \[8, 4, 3, 3\]/,
    );

    cpSync(join(sd, 'unet'), join(folder, 'other-unet'), { recursive: true });
    const config = join(folder, 'other-unet/config.json');
    writeFileSync(
      config,
      JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), time_cond_proj_dim: 8 }),
    );
    expect(await refusal(sd, { unet: join(folder, 'other-unet') })).toMatch(
      /other-unet lacks 1 of the \d+ weights of the model: time_embedding\.cond_proj\.weight/,
    );
  });

  it('has what the model was made for, unless its UNet is of another kind', async () => {
    const model = join(folder, 'with-defaults');
    cpSync(sd, model, { recursive: true });
    writeFileSync(join(model, 'generation_defaults.json'), '{"steps": 30}');
    for (const name of ['evaluation.md', 'README.md', 'LICENSE']) writeFileSync(join(model, name), name);
    const texts = async (out: string, parts: { unet?: string }) => {
      await convertModel(await openModel(model, parts), join(folder, out), { dtype: 'float32' });
      return (await readdir(join(folder, out))).filter((name) => /^[A-Zeg]/.test(name)).sort();
    };
    const about = ['LICENSE', 'README.md'];
    expect(await texts('same', {})).toEqual([...about, 'evaluation.md', 'generation_defaults.json']);
    expect(await texts('alike', { unet: join(sd, 'unet') })).toEqual([...about, 'generation_defaults.json']);
    expect(await texts('other', { unet: join(lcm, 'unet') })).toEqual(about);
  });
});
