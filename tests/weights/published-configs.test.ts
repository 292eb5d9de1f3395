/**
 * The configurations that Stable Diffusion 1.5 and SDXL were published with, written again: Python's programs
 * tell floats from integers by their spelling, and transformers 5 refuses a model in which a float has become an integer.
 */
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { convertModel } from '../../src/components/node/convert-model.ts';
import { diffusersFiles } from '../../src/components/node/diffusers-files.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import { stableDiffusionSchedule } from '../../src/diffusion/noise-schedule.ts';
import { hostTensor } from '../../src/graph/host-tensor.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import {
  type NetworkName,
  networkOf,
  networkToWrite,
  storedNetworkToWrite,
} from '../../src/training/runs/model-files.ts';
import { writePipeline } from '../../src/training/runs/pipeline-files.ts';
import { writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { temporaryFolder } from '../cli/lcm.ts';

const published = fileURLToPath(new URL('../fixtures/published', import.meta.url));
const folder = temporaryFolder();
afterAll(folder.remove);

/** All texts of a model, by path. The version of diffusers is that of whoever wrote the file. */
function texts(model: string): Record<string, string> {
  const files = readdirSync(model, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /json$/.test(file),
  );
  return Object.fromEntries(
    files.sort().map((file) => {
      const text = readFileSync(join(model, file), 'utf8');
      return [file, text.replace(/(?<="_diffusers_version": ")[^"]+/, 'any')];
    }),
  );
}

/** A model with a published one's configurations and next to no weights. */
async function standIn(name: string): Promise<string> {
  const model = join(folder.path, name);
  cpSync(join(published, name), model, { recursive: true });
  const one = new Map([['weight', hostTensor(Float32Array.of(1), [1])]]);
  const networks = Object.keys(texts(model)).filter((file) => file.endsWith('/config.json'));
  expect(networks.length).toBeGreaterThan(2);
  for (const network of networks) {
    const file = network.startsWith('text') ? 'model' : 'diffusion_pytorch_model';
    await writeSafetensors(join(model, network, '..', `${file}.safetensors`), one);
  }
  return model;
}

it.each(['sd15', 'sdxl'])('are copied byte for byte: %s', async (name) => {
  const model = await standIn(name);
  const out = join(folder.path, `${name}-half`);
  await convertModel(await diffusersFiles(model), out, { dtype: 'float16' });
  expect(texts(out)).toEqual(texts(model));
});

it('stay as they are in a student of the model, whose own have floats where diffusers has them', async () => {
  const teacher = await standIn('sd15');
  const model = await openModel(teacher);
  const stored = async (network: NetworkName) =>
    storedNetworkToWrite(model.classes.get(network)!, await networkOf(model, network));
  const unet = unet2DConditionConfig({ ...(await stored('unet')).config, norm_eps: 1 });
  const student = join(folder.path, 'student');
  await writePipeline(student, {
    kind: 'LatentConsistencyModelPipeline',
    schedulerClass: 'LCMScheduler',
    vae: await stored('vae'),
    unet: networkToWrite('unet', unet, new Map()),
    textEncoder: await stored('text_encoder'),
    tokenizer: { 'vocab.json': '{}', 'merges.txt': '', 'tokenizer_config.json': '{}' },
    schedule: { ...stableDiffusionSchedule, beta_end: 1, trained_betas: [0, 0.5, 1] },
    scheduler: { timestep_scaling: 10, original_inference_steps: 50 },
    defaults: { steps: 4, guidance_scale: 1 },
  });
  const [before, after] = [texts(teacher), texts(student)];
  for (const file of ['vae/config.json', 'text_encoder/config.json']) expect(after[file]).toBe(before[file]);
  const written = `${after['unet/config.json']}${after['scheduler/scheduler_config.json']}`;
  expect(written).toContain('"norm_eps": 1.0');
  expect(written).toContain('"beta_end": 1.0');
  expect(written).toContain('"timestep_scaling": 10.0');
  expect(written.replaceAll(/\s/g, '')).toContain('"trained_betas":[0.0,0.5,1.0]');
  expect(written).toMatch(/"original_inference_steps": 50\n/);
});
