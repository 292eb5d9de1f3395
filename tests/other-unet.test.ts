/** A model with a UNet from elsewhere: where it may come from, what goes with it, and what does not fit. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Components, loadComponents } from '../src/components/components.ts';
import type { ModelFiles } from '../src/components/model-files.ts';
import { createNodeEngine } from '../src/engines/onnxruntime-node/engine.ts';
import { InputError } from '../src/errors.ts';
import { float32Data, hostTensor } from '../src/graph/host-tensor.ts';
import { createPipeline, type GenerationRequest, openModel } from '../src/index.ts';
import { settingsOf } from '../src/pipelines/settings.ts';
import { loadTensors } from '../src/weights/load-tensors.ts';
import { openModelFolder } from '../src/weights/node/model-folder.ts';
import { openSafetensors, writeSafetensors } from '../src/weights/node/safetensors-file.ts';
import { checkpoints } from './cli/stand-ins.ts';
import { expectClose, floats, readTensors } from './conformance/golden.ts';

const pipelines = fileURLToPath(new URL('./fixtures/golden/pipelines', import.meta.url));
const [sd, lcm, sdxl] = ['sd', 'lcm', 'sdxl'].map((name) => join(pipelines, name, 'model')) as [
  string,
  string,
  string,
];
const lcmSdxl = join(pipelines, 'sdxl/unet_lcm');
const FILE = 'diffusion_pytorch_model.safetensors';

const engine = createNodeEngine({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), 'other-unet-'));
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

/** A new path. */
let count = 0;
const fresh = (name = '') => {
  const path = join(folder, String(count++));
  mkdirSync(path);
  return join(path, name);
};
const draw = async (files: ModelFiles, request: Partial<GenerationRequest> = {}) => {
  const pipeline = await createPipeline(files, engine);
  const { latents } = await pipeline.generate({ prompt: 'a red fox in the snow', seed: 11, ...request });
  return float32Data(latents);
};
const defaultsOf = (model: Components) => {
  const { scheduler, steps, guidanceScale, guidance } = settingsOf(model, { prompt: 'a fox' });
  return { scheduler, steps, guidanceScale, guidance };
};
const edit = (path: string, changes: object) =>
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changes }));

describe('a UNet with a guidance embedding', () => {
  const expected = floats(
    readTensors(join(pipelines, 'sd/lcm_unet'), 'outputs.safetensors'),
    'n4_g8.5/latents',
  );

  it('makes a Stable Diffusion a latent consistency model, with the defaults of one', async () => {
    const files = await openModel(sd, { unet: join(lcm, 'unet') });
    const model = await loadComponents(files);
    const lcmDefaults = { scheduler: 'lcm', steps: 4, guidanceScale: 8.5, guidance: 'embedded' };
    expect(defaultsOf(model)).toEqual(lcmDefaults);
    expectClose(await draw(files), expected, 1e-4, 'relative');
    // The noise is that which the model's own scheduler was made for.
    expect(model.scheduler.config.steps_offset).toBe(1);
    const own = await loadComponents(await openModel(sd));
    expect(defaultsOf(own)).toMatchObject({ scheduler: 'ddim', steps: 50, guidance: 'classifier-free' });
  });

  it.each<[string, () => Promise<string>]>([
    [
      'a folder with a folder unet',
      async () => {
        const path = fresh();
        cpSync(join(lcm, 'unet'), join(path, 'unet'), { recursive: true });
        return path;
      },
    ],
    [
      'a file beside its config.json',
      async () => {
        const path = fresh();
        cpSync(join(lcm, 'unet'), path, { recursive: true });
        return join(path, FILE);
      },
    ],
    [
      'a name on the hub',
      async () => {
        const cache = fresh();
        const commit = 'c'.repeat(40);
        const repository = join(cache, 'models--someone--lcm-unet');
        cpSync(join(lcm, 'unet'), join(repository, 'snapshots', commit), { recursive: true });
        mkdirSync(join(repository, 'refs'));
        writeFileSync(join(repository, 'refs/main'), commit);
        vi.stubEnv('HF_HUB_CACHE', cache);
        return 'someone/lcm-unet';
      },
    ],
  ])('may come from %s', async (_, make) => {
    expectClose(await draw(await openModel(sd, { unet: await make() })), expected, 1e-4, 'relative');
    vi.unstubAllEnvs();
  });

  it('may be a file alone that is built like the UNet of the model', async () => {
    const path = fresh('lcm-sdxl.safetensors');
    cpSync(join(lcmSdxl, FILE), path);
    const request = { steps: 3, width: 64, height: 64 };
    const own = await draw(await openModel(sdxl), request);
    const other = await draw(await openModel(sdxl, { unet: lcmSdxl }), request);
    expect(other).not.toEqual(own);
    expect(await draw(await openModel(sdxl, { unet: path }), request)).toEqual(other);

    // As some programs write it.
    const tensors = await loadTensors((await openModelFolder(lcmSdxl)).weights);
    const prefixed = fresh('prefixed.safetensors');
    await writeSafetensors(prefixed, new Map([...tensors].map(([name, tensor]) => [`unet.${name}`, tensor])));
    expect(await draw(await openModel(sdxl, { unet: prefixed }), request)).toEqual(other);
  });
});

it.each(['model.diffusion_model.', ''])(
  'a UNet alone may have the original names, after "%s"',
  async (prefix) => {
    const file = fresh('checkpoint.safetensors');
    await checkpoints.sd1(file);
    const options = { tokenizer: sd };
    const whole = await openModel(file, options);
    const tensors = await loadTensors((await openSafetensors(file)).weights);
    const original = 'model.diffusion_model.';
    const names = [...tensors.keys()].filter((name) => name.startsWith(original));
    const scaled = (name: string) => {
      const { shape, data } = tensors.get(name)!;
      return hostTensor(
        (data as Float32Array).map((value) => 0.9 * value),
        shape,
      );
    };
    const path = fresh('unet.safetensors');
    const alone = new Map(names.map((name) => [prefix + name.slice(original.length), scaled(name)]));
    await writeSafetensors(path, alone);
    for (const name of names) tensors.set(name, scaled(name));
    const changed = fresh('changed.safetensors');
    await writeSafetensors(changed, tensors);

    const request = { steps: 2, width: 64, height: 64 };
    const files = await openModel(file, { ...options, unet: path });
    // Nothing but the UNet is another.
    expect(files.classes.get('scheduler')).toBe(whole.classes.get('scheduler'));
    const drawn = await draw(files, request);
    expect(drawn).toEqual(await draw(await openModel(changed, options), request));
    expect(drawn).not.toEqual(await draw(whole, request));
  },
);

describe('what a model says of how to sample', () => {
  let model: string;
  beforeEach(() => {
    model = fresh('model');
    cpSync(sd, model, { recursive: true });
    writeFileSync(join(model, 'generation_defaults.json'), '{"steps": 30, "guidance_scale": 6}');
  });

  it('goes with its UNet', async () => {
    edit(join(model, 'scheduler/scheduler_config.json'), { prediction_type: 'v_prediction' });
    const { scheduler, defaults } = await loadComponents(await openModel(sd, { unet: model }));
    expect(scheduler.predictionType).toBe('v_prediction');
    expect(defaults).toEqual({ steps: 30, guidanceScale: 6 });
    const lcmModel = await loadComponents(await openModel(sd, { unet: lcm }));
    expect(lcmModel.scheduler).toMatchObject({ className: 'LCMScheduler', config: { steps_offset: 0 } });
  });

  it('holds for a UNet alone of its own kind, and not for one of another', async () => {
    const same = await loadComponents(await openModel(model, { unet: join(sd, 'unet') }));
    expect(defaultsOf(same)).toMatchObject({ scheduler: 'ddim', steps: 30, guidanceScale: 6 });
    const other = await loadComponents(await openModel(model, { unet: join(lcm, 'unet') }));
    expect(defaultsOf(other)).toMatchObject({ scheduler: 'lcm', steps: 4, guidanceScale: 8.5 });
  });

  it('is that of the family for the UNet of a checkpoint, guess and all', async () => {
    const path = fresh('v2.safetensors');
    await checkpoints.sd2(path);
    const files = await openModel(model, { unet: path });
    expect(files.checkpoint).toMatchObject({
      location: path,
      prediction: { type: 'v_prediction', source: 'family' },
    });
    expect(files.classes.get('scheduler')).toBe('DDIMScheduler');
    expect(JSON.parse((await files.text('scheduler/scheduler_config.json'))!).prediction_type).toBe(
      'v_prediction',
    );
  });
});

describe('what does not fit', () => {
  const refusal = async (model: string, unet: string) => {
    const error = await openModel(model, { unet })
      .then(loadComponents)
      .then(
        () => Promise.reject(new Error('it should have failed')),
        (cause: unknown) => cause as Error,
      );
    expect(error).toBeInstanceOf(InputError);
    expect(error.message.length).toBeLessThan(500);
    return error.message;
  };

  it.each([
    ['nowhere', /UNet nowhere: there is no such file or folder/],
    [join(sd, 'vae'), /vae is a AutoencoderKL; expected a UNet2DConditionModel/],
    [join(sd, 'tokenizer'), /tokenizer: the folder holds none; expected config\.json/],
    [join(sd, 'vae', FILE), /holds none, or something besides; its first tensor is/],
    [join(pipelines, 'sd/lcm_lora/pytorch_lora_weights.safetensors'), /holds none, or something besides/],
    ['someone/not-pulled', /someone\/not-pulled \(main\) is not in the cache/],
  ])('is refused: %s', async (unet, message) => {
    vi.stubEnv('HF_HUB_CACHE', fresh());
    expect(await refusal(sd, unet)).toMatch(message);
    vi.unstubAllEnvs();
  });

  it('is refused: a file of another build', async () => {
    const path = fresh('unet.safetensors');
    cpSync(join(lcm, 'unet', FILE), path);
    expect(await refusal(sd, path)).toMatch(
      /unet\.safetensors holds a UNet of another build than the model's: \S+ is \[12.*\], in the model \[8/,
    );
  });

  it('is refused: a UNet for other texts', async () => {
    expect(await refusal(sdxl, join(sd, 'unet'))).toMatch(
      /unet: cross_attention_dim is 24, but the text encoders'/,
    );
    expect(await refusal(sd, lcmSdxl)).toMatch(/unet_lcm: cross_attention_dim is 48, but the text encoder's/);
  });

  it.each([
    [{ in_channels: 5 }, /in_channels is 5; expected 4, or for inpainting 9/],
    [{ out_channels: 8 }, /out_channels is 8, but the VAE's latents have 4 channels/],
  ])('is refused: %j', async (changes, message) => {
    const path = fresh('unet');
    cpSync(join(sd, 'unet'), path, { recursive: true });
    edit(join(path, 'config.json'), changes);
    expect(await refusal(sd, path)).toMatch(message);
  });
});
