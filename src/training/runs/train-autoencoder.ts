/** Training an AutoencoderKL from pictures: encoder and decoder together, or the decoder alone. */
import { join } from 'node:path';
import { UsageError } from '../../errors.ts';
import { mean } from '../../evaluation/mean.ts';
import { countFlops } from '../../graph/flops.ts';
import { float32Data, type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { reduceMean, square, subtract } from '../../graph/operators/index.ts';
import { program } from '../../graph/program.ts';
import { elementCount } from '../../graph/shape.ts';
import { input, type Tensor } from '../../graph/tensor.ts';
import { DeclaredParams } from '../../layers/params.ts';
import {
  type AutoencoderKLConfig,
  autoencoderKLConfig,
  decode,
  encode,
} from '../../models/autoencoder-kl.ts';
import { diagonalGaussian } from '../../models/diagonal-gaussian.ts';
import { postcards } from '../../models/presets.ts';
import { writeModelFolder } from '../../weights/node/write-diffusers.ts';
import { shareOf } from '../data-parallel.ts';
import { Ema } from '../ema.ts';
import { FlatParameters, initialize } from '../flat-parameters.ts';
import { trainingProgram } from '../objective.ts';
import { type AutoencoderLossWeights, autoencoderLoss, decoderLoss } from '../objectives/autoencoder.ts';
import { randomStream, ShuffledIndices } from '../random-stream.ts';
import type { Batch } from '../trainer.ts';
import {
  defaultCadence,
  defaultData,
  type Partially,
  type RunConfig,
  runConfigWithDefaults,
  testPictures,
  trainingPictures,
  withDefaults,
} from './config.ts';
import { batchShapes } from './latent-data.ts';
import { loadParameters, networkToWrite, openNetwork } from './model-files.ts';
import {
  inRunDirectory,
  type RunIO,
  type RunPlan,
  type RunResult,
  replicasOf,
  runSteps,
  using,
} from './run.ts';

export interface AutoencoderRunConfig extends RunConfig {
  /** `decoder` leaves the encoder, and so the latents, as they are in `initial`. */
  readonly part: 'all' | 'decoder';
  /** A diffusers folder whose `vae` the training starts from; null starts from random weights. */
  readonly initial: string | null;
  /** diffusers' AutoencoderKL config, for a start from random weights. */
  readonly model: AutoencoderKLConfig;
  readonly loss: AutoencoderLossWeights;
  /** With `part: 'decoder'`: noise added to the latents, in standard deviations of the latents. */
  readonly latentNoise: number;
}

/** Settings for 64×64 pictures: about 57,000 of them give 31 dB, with the decoder alone afterwards 32 dB. */
export const autoencoderDefaults: AutoencoderRunConfig = {
  data: defaultData,
  steps: 1778,
  batch: 32,
  seed: 0,
  optimizer: {
    learningRate: 2e-3,
    schedule: { kind: 'cosine', warmupSteps: 100, constantUntil: 0, finalFactor: 0.02 },
    betas: [0.9, 0.99],
    epsilon: 1e-8,
    weightDecay: 1e-4,
    maxGradientNorm: 1,
  },
  ema: 0.998,
  cadence: defaultCadence,
  part: 'all',
  initial: null,
  // The scaling is measured when the training is done.
  model: { ...postcards.vae.config, scaling_factor: 1 },
  loss: { l1: 1, mse: 2, gradient: 0.5, kl: 3e-4, klReduction: 'element' },
  latentNoise: 0.03,
};

/** The changes for training the decoder alone after the rest. */
export const decoderDefaults: Partially<AutoencoderRunConfig> = {
  part: 'decoder',
  steps: 658,
  optimizer: { learningRate: 1e-3 },
  loss: { mse: 4, gradient: 0.7, kl: 0 },
};

export function autoencoderRunConfig(given: Partially<AutoencoderRunConfig> = {}): AutoencoderRunConfig {
  const base =
    given.part === 'decoder'
      ? withDefaults<AutoencoderRunConfig>(autoencoderDefaults, decoderDefaults)
      : autoencoderDefaults;
  const config = runConfigWithDefaults<AutoencoderRunConfig>(base, given);
  if (config.part === 'decoder' && config.initial === null) {
    throw new UsageError(
      'training the decoder alone needs a trained autoencoder to start from: name its folder with --initial, or as "initial" in the settings',
    );
  }
  return config;
}

/** What a run with these settings would compute. */
export async function planAutoencoder(config: AutoencoderRunConfig): Promise<RunPlan> {
  return (await prepare(config)).plan;
}

/** Trains, or goes on training, and writes the averaged weights to `<directory>/model/vae`. */
export async function trainAutoencoder(config: AutoencoderRunConfig, io: RunIO): Promise<RunResult> {
  const prepared = await prepare(config, replicasOf(io).length);
  return inRunDirectory(config, io, () => run(config, io, prepared));
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

async function run(config: AutoencoderRunConfig, io: RunIO, prepared: Prepared): Promise<RunResult> {
  const { plan, model, declared, frozen, step } = prepared;
  const parameters = initialize(declared, randomStream(config.seed, 0));
  if (config.initial !== null) {
    const { weights } = await openNetwork(config.initial, 'vae', 'initial');
    await loadParameters(parameters, weights, config.initial);
    if (frozen) await loadParameters(frozen, weights, config.initial);
  }
  const average = new Ema(parameters, config.ema, { warmup: true });
  const source = trainingPictures(config.data);
  const order = new ShuffledIndices(config.seed, source.size, source.shuffled);
  const shapes = batchShapes(model, config.batch, source);
  const batch = async (at: number): Promise<Batch> => {
    const indices = Array.from({ length: config.batch }, (_, i) => order.at(at * config.batch + i));
    const noise = randomStream(config.seed, 1, at).normal(elementCount(shapes.latents));
    return {
      inputs: {
        pixels: hostTensor(await source.pixels(indices), shapes.pixels),
        noise: hostTensor(noise, shapes.latents),
      },
      images: config.batch,
    };
  };

  const writeModel = async (modelDirectory: string) => {
    const tensors = { ...frozen?.tensors(), ...average.parameters.tensors() };
    const measured = await evaluate(config, model, tensors, io);
    const scaling = config.part === 'decoder' ? model.scaling_factor : measured.scaling;
    const network = networkToWrite(
      'vae',
      { ...model, scaling_factor: scaling },
      new Map(Object.entries(tensors)),
    );
    await writeModelFolder(join(modelDirectory, 'vae'), network, { replace: true });
  };
  const averages = { ema: average };
  const feeds = frozen?.tensors();
  const name = 'autoencoder';
  return runSteps(config, io, { name, plan, step, parameters, averages, feeds, batch, writeModel });
}

/** The step is written for the share of the batch that each of the replicas takes. */
async function prepare(config: AutoencoderRunConfig, replicas = 1) {
  const stored = config.initial === null ? undefined : await openNetwork(config.initial, 'vae', 'initial');
  const model = stored ? autoencoderKLConfig(stored.config) : config.model;
  const all = new DeclaredParams();
  const autoencoder = {
    encode: (pixels: Tensor) => encode(model, all.params, pixels),
    decode: (latents: Tensor) => decode(model, all.params, latents),
  };
  const shapes = batchShapes(model, shareOf(config.batch, replicas), trainingPictures(config.data));
  const pixels = input('pixels', shapes.pixels);
  const noise = input('noise', shapes.latents);
  const decoderOnly = config.part === 'decoder';
  const objective = decoderOnly
    ? decoderLoss(autoencoder, pixels, noise, config.latentNoise / model.scaling_factor, config.loss)
    : autoencoderLoss(autoencoder, pixels, noise, config.loss);

  const isTrained = (name: string) => !decoderOnly || /^(decoder|post_quant_conv)\./.test(name);
  const declared = new Map([...all.declarations].filter(([name]) => isTrained(name)));
  const rest = [...all.declarations].filter(([name]) => !isTrained(name));
  const frozen = decoderOnly
    ? new FlatParameters(new Map(rest.map(([name, { shape }]) => [name, shape])))
    : undefined;
  const step = trainingProgram(objective, declared);
  const flopsPerStep = replicas * countFlops(step);
  const count = [...declared.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const plan: RunPlan = {
    config,
    parameters: { vae: count },
    flopsPerStep,
    flopsPerPicture: flopsPerStep / config.batch,
  };
  return { plan, model, declared, frozen, step };
}

/**
 * On up to 512 test pictures: the quality of reconstructions, and 1 / the standard deviation of the latents, which lets
 * the diffusion model see unit variance (Rombach et al. 2022, section G). Once the run is to stop, no more pictures are
 * taken than the 32 without which there is no scaling; of postcards they give it within 2 %.
 */
async function evaluate(
  config: AutoencoderRunConfig,
  model: AutoencoderKLConfig,
  tensors: Readonly<Record<string, HostTensor>>,
  { engine, onProgress, signal }: RunIO,
): Promise<{ psnr: number; scaling: number }> {
  const source = testPictures(config.data);
  const { pixels: shape } = batchShapes(model, 32, source);
  const declared = new DeclaredParams();
  const pixels = input('pixels', shape);
  const { mean: latents } = diagonalGaussian(encode(model, declared.params, pixels));
  const error = subtract(decode(model, declared.params, latents), pixels);
  const outputs = {
    mean: reduceMean(latents),
    square: reduceMean(square(latents)),
    mse: reduceMean(square(error), [1, 2, 3]),
  };
  const executable = await engine.compile(program(outputs), { name: 'autoencoder evaluation' });
  return using(executable, async () => {
    const count = Math.min(512, Math.max(32, source.size));
    const batches = Math.floor(count / 32);
    const means: number[] = [];
    const squares: number[] = [];
    const decibels: number[] = [];
    for (let k = 0; k < batches && !(k > 0 && signal?.aborted); k++) {
      const indices = Array.from({ length: 32 }, (_, i) => (k * 32 + i) % source.size);
      const result = await executable.run({
        ...tensors,
        pixels: hostTensor(await source.pixels(indices), shape),
      });
      means.push(float32Data(result.mean!)[0]!);
      squares.push(float32Data(result.square!)[0]!);
      for (const mse of float32Data(result.mse!)) decibels.push(10 * Math.log10(4 / mse));
    }
    const psnr = mean(decibels);
    const scaling = 1 / Math.sqrt(mean(squares) - mean(means) ** 2);
    onProgress?.({
      type: 'phase',
      message: `reconstructions of ${Math.min(decibels.length, source.size)} test pictures: PSNR ${psnr.toFixed(2)} dB; latent scaling factor ${scaling.toFixed(4)}`,
    });
    return { psnr, scaling };
  });
}
