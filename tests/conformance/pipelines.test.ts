/** Whole pipelines against diffusers: the latents and the pictures that the same prompt, seed and settings give. */
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { ModelFiles } from '../../src/components/model-files.ts';
import { diffusersFiles } from '../../src/components/node/diffusers-files.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import type { SchedulerName } from '../../src/components/scheduler.ts';
import type { SchedulerConfig } from '../../src/diffusion/samplers/index.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { float32Data } from '../../src/graph/host-tensor.ts';
import type { Image } from '../../src/images/image.ts';
import { decodePng } from '../../src/images/png.ts';
import { createPipeline, type Pipeline } from '../../src/pipelines/pipeline.ts';
import type { GenerationRequest } from '../../src/pipelines/settings.ts';
import { Generator } from '../../src/random/generator.ts';
import type { AppliedLora } from '../../src/weights/lora.ts';
import { readLora } from '../../src/weights/lora-file.ts';
import { openModelFolder } from '../../src/weights/node/model-folder.ts';
import { openSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { withScheduler } from '../with-scheduler.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';

/** One call of a diffusers pipeline. */
interface Run {
  /** One seed: one generator for the whole batch; a list: one for each picture. */
  readonly seeds: number | readonly number[];
  readonly call: {
    readonly prompt: string | readonly string[];
    readonly negative_prompt?: string | readonly string[];
    readonly num_images_per_prompt?: number;
    readonly num_inference_steps: number | null;
    readonly original_inference_steps?: number;
    readonly timesteps?: readonly number[];
    readonly guidance_scale?: number;
    readonly guidance_rescale?: number;
    readonly eta?: number;
    readonly clip_skip?: number;
    readonly height?: number;
    readonly width?: number;
    readonly strength?: number;
    readonly original_size?: readonly [number, number];
    readonly target_size?: readonly [number, number];
    readonly crops_coords_top_left?: readonly [number, number];
  };
  readonly timesteps: readonly number[];
  readonly scheduler: string;
  /** What `from_config` was given besides the configuration of the model's own scheduler. */
  readonly scheduler_config?: SchedulerConfig;
  /** The model's own scheduler, with all that its file says, where that is not the class above and the model's file. */
  readonly own?: { readonly class: string; readonly config: SchedulerConfig };
  /** What was asked for in place of it. */
  readonly asked?: SchedulerName;
  readonly class: string;
  /** Files beside runs.json. */
  readonly image?: string;
  readonly mask_image?: string;
  /** Strength of the LoRA where it is not 1. */
  readonly adapter_weight?: number;
}

interface Suite {
  readonly name: string;
  readonly model: string;
  /** A LoRA that all runs have. */
  readonly lora?: string;
  /** A UNet that all runs have in place of the model's own; it decides on the scheduler. */
  readonly unet?: string;
  /** Networks from other folders, for the runs whose names begin like this. */
  readonly replaced?: { readonly runs: string; readonly component: string; readonly folder: string };
}

const sd = 'pipelines/sd/model';
const sdxl = 'pipelines/sdxl/model';
const lcmUnet = { runs: 'lcm_unet_', component: 'unet', folder: 'pipelines/sdxl/unet_lcm' };
const lora = 'pipelines/sd/lcm_lora/pytorch_lora_weights.safetensors';
const suites: Suite[] = [
  { name: 'pipelines/lcm/txt2img', model: 'pipelines/lcm/model' },
  { name: 'pipelines/lcm/img2img', model: 'pipelines/lcm/model' },
  { name: 'pipelines/sd/teacher_ddim', model: sd },
  { name: 'pipelines/sd/lcm_lora', model: sd, lora },
  { name: 'pipelines/sd/img2img', model: sd, lora },
  { name: 'pipelines/sd/inpaint', model: sd, lora },
  {
    name: 'pipelines/sd/taesd',
    model: sd,
    lora,
    replaced: { runs: '', component: 'vae', folder: 'pipelines/sd/taesd' },
  },
  { name: 'pipelines/sd/lcm_unet', model: sd, unet: 'pipelines/lcm/model/unet' },
  { name: 'pipelines/sd/samplers', model: sd },
  { name: 'pipelines/sd/samplers_img2img', model: sd },
  { name: 'pipelines/sd/samplers_inpaint', model: sd },
  { name: 'pipelines/sd/solvers', model: sd },
  { name: 'pipelines/sd/solvers_img2img', model: sd },
  { name: 'pipelines/sd/solvers_inpaint', model: sd },
  { name: 'pipelines/sd/old_configs', model: sd },
  { name: 'pipelines/sd/tcd_lora', model: sd, lora },
  {
    name: 'pipelines/sd/inpaint9',
    model: sd,
    replaced: { runs: '', component: 'unet', folder: 'pipelines/sd/unet_inpaint9' },
  },
  { name: 'pipelines/sd_v/runs', model: 'pipelines/sd_v/model' },
  { name: 'pipelines/sdxl/runs', model: sdxl, replaced: lcmUnet },
  { name: 'pipelines/sdxl/samplers', model: sdxl, replaced: lcmUnet },
  { name: 'pipelines/sdxl/solvers', model: sdxl },
  { name: 'pipelines/sdxl/old_configs', model: sdxl },
  { name: 'pipelines/sdxl/img2img', model: sdxl, replaced: lcmUnet },
  { name: 'pipelines/sdxl/inpaint', model: sdxl, replaced: lcmUnet },
  {
    name: 'pipelines/sdxl/inpaint9',
    model: sdxl,
    replaced: { runs: '', component: 'unet', folder: 'pipelines/sdxl/unet_inpaint9' },
  },
];

for (const suite of suites) {
  describeGolden(suite.name, (folder) => {
    const root = folder.slice(0, -suite.name.length);
    const runs = readJson<Record<string, Run>>(folder, 'runs.json');
    const outputs = readTensors(folder, 'outputs.safetensors');
    const engine = createNodeEngine({ threads: 1 });
    const pipelines = new Map<string, Promise<Pipeline>>();
    afterAll(() => engine.dispose());

    /** Runs with the same networks and scheduler share a pipeline. */
    function pipelineOf(name: string, run: Run): Promise<Pipeline> {
      const replaced = suite.replaced && name.startsWith(suite.replaced.runs) ? suite.replaced : undefined;
      const { adapter_weight, scheduler, scheduler_config, own } = run;
      const key = JSON.stringify([replaced?.folder, adapter_weight, scheduler, scheduler_config, own]);
      if (!pipelines.has(key)) pipelines.set(key, makePipeline(run, replaced));
      return pipelines.get(key)!;
    }

    async function makePipeline(run: Run, replaced: Suite['replaced']): Promise<Pipeline> {
      const { adapter_weight: strength = 1, scheduler, scheduler_config: fields, own } = run;
      const { model, unet } = suite;
      const files =
        unet === undefined
          ? withScheduler(await diffusersFiles(join(root, model)), own?.class ?? scheduler, {
              fields,
              config: own?.config,
            })
          : await openModel(join(root, model), { unet: join(root, unet) });
      const loras = suite.lora === undefined ? [] : [await appliedLora(join(root, suite.lora), strength)];
      return createPipeline(
        replaced ? await withNetwork(files, replaced.component, join(root, replaced.folder)) : files,
        engine,
        { loras },
      );
    }

    it.each(Object.entries(runs))('%s gives the latents and pictures of diffusers', async (name, run) => {
      const pipeline = await pipelineOf(name, run);
      const visited: number[] = [];
      const asked = {
        ...request(run.seeds, run.call),
        scheduler: run.asked ?? pipeline.model.scheduler.name, // An LCM-LoRA would have it LCM.
        image: await pictureOf(folder, run.image),
        mask: await pictureOf(folder, run.mask_image),
      };
      const drawing = pipeline.generate(asked);
      for await (const { timestep } of drawing) visited.push(timestep);
      const { images, latents } = await drawing;
      expectClose(visited, visitedTimesteps(run), 1e-4); // Euler's are not integers with Karras' noise levels.
      const expected = outputs.get(`${name}/latents`);
      expect(latents.shape).toEqual(expected?.shape);
      expectClose(float32Data(latents), floats(outputs, `${name}/latents`), 1e-4, 'relative');
      for (const [i, image] of images.entries()) {
        const path = join(folder, 'png', `${name}_${i}.png`);
        if (!existsSync(path)) continue; // Not every run has its pictures stored.
        const reference = await decodePng(readFileSync(path));
        expect([image.width, image.height]).toEqual([reference.width, reference.height]);
        const ratio = psnr(image.data, reference.data);
        if (process.env.GOLDEN_ERRORS) console.log(expect.getState().currentTestName, i, `${ratio} dB`);
        expect(ratio).toBeGreaterThanOrEqual(50);
      }
    });
  });
}

function request(seeds: Run['seeds'], call: Run['call']): GenerationRequest {
  return {
    prompt: call.prompt,
    negativePrompt: call.negative_prompt,
    numImages: call.num_images_per_prompt,
    generator: typeof seeds === 'number' ? new Generator(seeds) : seeds.map((seed) => new Generator(seed)),
    steps: call.num_inference_steps ?? undefined,
    originalSteps: call.original_inference_steps,
    timesteps: call.timesteps,
    guidanceScale: call.guidance_scale,
    guidanceRescale: call.guidance_rescale,
    eta: call.eta,
    clipSkip: call.clip_skip,
    width: call.width,
    height: call.height,
    strength: call.strength,
    originalSize: call.original_size,
    targetSize: call.target_size,
    cropTopLeft: call.crops_coords_top_left,
  };
}

/** The fixture lists the whole schedule, of which Stable Diffusion pipelines leave out the head. */
function visitedTimesteps({ class: pipelineClass, scheduler, call, timesteps }: Run): readonly number[] {
  if (call.strength === undefined || pipelineClass.startsWith('LatentConsistency')) return timesteps;
  const steps = call.num_inference_steps ?? timesteps.length; // Those of PNDM and Heun are longer.
  const leftOut = steps - Math.trunc(steps * call.strength);
  return timesteps.slice(/^(Heun|KDPM2)/.test(scheduler) ? 2 * leftOut : leftOut);
}

async function pictureOf(folder: string, name: string | undefined): Promise<Image | undefined> {
  return name === undefined ? undefined : decodePng(await readFile(join(folder, name)));
}

async function appliedLora(path: string, strength: number): Promise<AppliedLora> {
  const { weights, metadata } = await openSafetensors(path);
  return { lora: readLora(weights, metadata, path), strength };
}

/** A model with one of its networks taken from another folder. */
async function withNetwork(files: ModelFiles, component: string, folder: string): Promise<ModelFiles> {
  const { path, className, config, weights } = await openModelFolder(folder);
  return {
    ...files,
    classes: new Map([...files.classes, [component, className]]),
    network: async (name) => (name === component ? { location: path, config, weights } : files.network(name)),
  };
}

/** Peak signal-to-noise ratio of 8-bit pictures, in dB. */
function psnr(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i]! - b[i]!) ** 2;
  return 10 * Math.log10((255 ** 2 * a.length) / squares);
}
