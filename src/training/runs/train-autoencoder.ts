/** Training an AutoencoderKL from pictures: encoder and decoder together, or the decoder alone. */
import { join } from 'node:path';
import { type Autoencoder, autoencoder } from '../../components/autoencoder.ts';
import { openAutoencoder } from '../../components/node/open-model.ts';
import { UsageError } from '../../errors.ts';
import { mean } from '../../evaluation/mean.ts';
import { float32Data, type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { reduceMean, square, subtract } from '../../graph/operators/index.ts';
import { program } from '../../graph/program.ts';
import { elementCount } from '../../graph/shape.ts';
import { input, type Tensor } from '../../graph/tensor.ts';
import { type Image, tensorToImage } from '../../images/image.ts';
import { DeclaredParams } from '../../layers/params.ts';
import {
  type AutoencoderKLConfig,
  autoencoderKLConfig,
  decode,
  encode,
} from '../../models/autoencoder-kl.ts';
import { diagonalGaussian } from '../../models/diagonal-gaussian.ts';
import { convertTensor } from '../../weights/convert.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { writeModelFolder } from '../../weights/node/write-diffusers.ts';
import { paramsFromWeights } from '../../weights/source.ts';
import { ExampleOrder, viewOf } from '../data/example-order.ts';
import type { PictureSize, PictureSource } from '../data/picture-source.ts';
import { randomCrops } from '../data/random-crops.ts';
import { randomStream } from '../data/random-stream.ts';
import { autoencoderLoss, decoderLoss } from '../objectives/autoencoder.ts';
import { Leaves } from '../objectives/leaves.ts';
import { type AutoencoderRunConfig, autoencoderRunConfig } from './autoencoder-config.ts';
import { withDataOf } from './earlier-run.ts';
import { withEpochs } from './epochs.ts';
import { grownAutoencoder } from './grown-autoencoder.ts';
import { batchShapes, picturesAtOnce } from './latent-autoencoder.ts';
import { loadParameters, networkToWrite, requireReadable } from './model-files.ts';
import { openPictures, type TrainingPictures } from './pictures.ts';
import type { RecipeKind } from './recipe.ts';
import { type RunIO, type SampleSheet, using } from './run.ts';

/** `lcm train autoencoder`: writes the averaged weights to `vae` of a folder. */
export const autoencoderTraining: RecipeKind<AutoencoderRunConfig> = {
  name: 'autoencoder',
  configure: async (given) => withEpochs(autoencoderRunConfig(await withDataOf(given.initial, given))),
  async open(config, watch) {
    const initial = config.initial === null ? undefined : await openInitial(config.initial, config.grow);
    const model = initial?.config ?? config.model;
    const pictures = await openPictures(config, watch);
    const source = pictures.train;
    const sizes = autoencoder('AutoencoderKL', model);
    // Whole squares are what it is tried on.
    for (const size of [source, ...source.sizes]) batchShapes(sizes, 1, size);
    const seen = seenOf(config, source);
    const decoderOnly = config.part === 'decoder';
    let examples: SampleSheet;
    return {
      data: { pictures: source.identity },
      sizes: config.cropSize === null ? source.sizes : undefined,
      write(share, size) {
        const leaves = new Leaves<AutoencoderDraw>(share);
        const shapes = batchShapes(sizes, share, size ?? seen);
        const trained = new DeclaredParams();
        // The encoder of a decoder's training stays as it is stored.
        const stored = paramsFromWeights(initial?.weights ?? new Map());
        const encoder = decoderOnly ? stored.params : trained.params;
        const networks = {
          encode: (pixels: Tensor) => encode(model, encoder, pixels),
          decode: (latents: Tensor) => decode(model, trained.params, latents),
        };
        const pixels = leaves.tensor('pixels', shapes.pixels, (drawn) => drawn.pixels);
        const noise = leaves.tensor('noise', shapes.latents, (drawn) => drawn.noise);
        const objective = decoderOnly
          ? decoderLoss(networks, pixels, noise, config.latentNoise / model.scaling_factor, config.loss)
          : autoencoderLoss(networks, pixels, noise, config.loss);
        stored.requireAll(config.initial ?? '');
        return {
          objective,
          trained: trained.declarations,
          counts: { vae: trained.count },
          frozen: new Map([...(initial?.weights ?? [])].filter(([name]) => !trained.declarations.has(name))),
          open: async () => {
            const batchesOf = (of: PictureSource, streams: Streams) => {
              const order = new ExampleOrder({ source: of, seed: config.seed, batch: config.batch });
              return async (at: number) => ({
                inputs: leaves.inputs(await draw(config, sizes, of, order, at, streams)),
                images: config.batch,
              });
            };
            const { test } = pictures;
            return {
              batch: batchesOf(source, { noise: 1, crops: 2 }),
              validation: test && { pictures: test.size, batch: batchesOf(test, { noise: 6, crops: 7 }) },
            };
          },
        };
      },
      async start(parameters) {
        if (!initial) return;
        const { weights, startsAtRandom } = initial;
        await loadParameters(parameters, weights, config.initial ?? '', startsAtRandom);
      },
      sheet: () => examples,
      async writeModel(directory, average, io) {
        const tensors = new Map(Object.entries(average.tensors()));
        if (decoderOnly && initial) {
          const rest = [...initial.weights.keys()].filter((name) => !tensors.has(name));
          for (const [name, tensor] of await loadTensors(initial.weights, rest)) {
            tensors.set(name, convertTensor(tensor, 'float32'));
          }
        }
        const measured = await evaluate(pictures, model, Object.fromEntries(tensors), io);
        examples = measured.examples;
        const scaling = decoderOnly ? model.scaling_factor : measured.scaling;
        const network = networkToWrite('vae', { ...model, scaling_factor: scaling }, tensors);
        await writeModelFolder(join(directory, 'vae'), network, { replace: true });
      },
    };
  },
};

/**
 * The autoencoder `name`, as `--vae` takes it, with another level around it where it is to grow. Throws UsageError for one
 * that is not trained here.
 */
async function openInitial(name: string, grow: boolean) {
  const stored = requireReadable(await openAutoencoder(name));
  if (stored.className !== 'AutoencoderKL') {
    throw new UsageError(`${name} is an ${stored.className}; trained are AutoencoderKL`);
  }
  if (grow) return grownAutoencoder(stored);
  const { config, weights } = stored;
  return { config: autoencoderKLConfig(config), weights, startsAtRandom: undefined };
}

interface AutoencoderDraw {
  /** [B, 3, H, W]. */
  readonly pixels: HostTensor;
  /** Standard normal, [B, C, h, w]. */
  readonly noise: HostTensor;
}

/** What a step sees of a picture. Throws UsageError for crops that are larger than it. */
function seenOf({ cropSize }: AutoencoderRunConfig, { sizes }: PictureSource): PictureSize {
  if (cropSize === null) return sizes[0]!;
  const shortest = Math.min(...sizes.flatMap(({ height, width }) => [height, width]));
  if (cropSize <= shortest) return { height: cropSize, width: cropSize };
  throw new UsageError(
    `the setting "cropSize" is ${cropSize}; expected at most the ${shortest} pixels along the sides of the pictures to train on`,
  );
}

/** Names of the random numbers that a batch is made with. */
interface Streams {
  readonly noise: number;
  readonly crops: number;
}

async function draw(
  { seed, cropSize }: AutoencoderRunConfig,
  autoencoder: Pick<Autoencoder, 'factor' | 'latentChannels'>,
  source: PictureSource,
  order: ExampleOrder,
  at: number,
  streams: Streams,
): Promise<AutoencoderDraw> {
  const examples = order.batch(at);
  const size = source.sizeOf(examples[0]!.picture);
  const seen = cropSize === null ? size : { height: cropSize, width: cropSize };
  const shapes = batchShapes(autoencoder, examples.length, seen);
  const noise = randomStream(seed, streams.noise, at).normal(elementCount(shapes.latents));
  const whole = await source.pixels(
    examples.map(({ picture }) => picture),
    examples.map((example) => viewOf(source, seed, example)),
  );
  const crops = () => randomCrops(whole, size, cropSize!, randomStream(seed, streams.crops, at));
  const pixels = cropSize === null ? whole : crops();
  return {
    pixels: hostTensor(pixels, shapes.pixels),
    noise: hostTensor(noise, shapes.latents),
  };
}

/** Pictures on a sheet: the originals above, what the autoencoder makes of them below. */
const EXAMPLES = 8;

/**
 * On up to 512 test pictures, or where there are none on those of training: the quality of reconstructions, some of them,
 * and 1 / the standard deviation of the latents, which lets the diffusion model see unit variance (Rombach et al. 2022,
 * section G). Once the run is to stop, no more pictures are taken than the 32 without which there is no scaling; of
 * postcards they give it within 2 %.
 */
async function evaluate(
  { train, test }: TrainingPictures,
  model: AutoencoderKLConfig,
  tensors: Readonly<Record<string, HostTensor>>,
  { engine, onProgress, signal }: RunIO,
): Promise<{ scaling: number; examples: SampleSheet }> {
  const source = test ?? train;
  const atOnce = picturesAtOnce(source);
  const { pixels: shape } = batchShapes(autoencoder('AutoencoderKL', model), atOnce, source);
  const declared = new DeclaredParams();
  const pixels = input('pixels', shape);
  const { mean: latents } = diagonalGaussian(encode(model, declared.params, pixels));
  const reconstructed = decode(model, declared.params, latents);
  const error = subtract(reconstructed, pixels);
  const outputs = {
    reconstructed,
    mean: reduceMean(latents),
    square: reduceMean(square(latents)),
    mse: reduceMean(square(error), [1, 2, 3]),
  };
  const executable = await engine.compile(program(outputs), { name: 'autoencoder evaluation' });
  return using(executable, async () => {
    const count = Math.min(512, Math.max(atOnce, source.pictures));
    const batches = Math.floor(count / atOnce);
    const means: number[] = [];
    const squares: number[] = [];
    const decibels: number[] = [];
    const originals: Image[] = [];
    const reconstructions: Image[] = [];
    for (let k = 0; k < batches && !(k * atOnce >= 32 && signal?.aborted); k++) {
      const indices = Array.from({ length: atOnce }, (_, i) => (k * atOnce + i) % source.pictures);
      const batch = hostTensor(await source.pixels(indices, undefined, source), shape);
      const result = await executable.run({ ...tensors, pixels: batch });
      for (let i = 0; i < atOnce && originals.length < Math.min(EXAMPLES, source.pictures); i++) {
        originals.push(tensorToImage(float32Data(batch), source.width, source.height, i));
        reconstructions.push(
          tensorToImage(float32Data(result.reconstructed!), source.width, source.height, i),
        );
      }
      means.push(float32Data(result.mean!)[0]!);
      squares.push(float32Data(result.square!)[0]!);
      for (const mse of float32Data(result.mse!)) decibels.push(10 * Math.log10(4 / mse));
    }
    const psnr = mean(decibels);
    const scaling = 1 / Math.sqrt(mean(squares) - mean(means) ** 2);
    const kind = test ? 'test' : 'training';
    onProgress?.({
      type: 'phase',
      message: `reconstructions of ${Math.min(decibels.length, source.pictures)} ${kind} pictures: PSNR ${psnr.toFixed(2)} dB; latent scaling factor ${scaling.toFixed(4)}`,
    });
    const examples: SampleSheet = {
      kind: 'pictures',
      images: [...originals, ...reconstructions],
      columns: originals.length,
      description: `${kind} pictures, and below them their reconstructions`,
    };
    return { scaling, examples };
  });
}
