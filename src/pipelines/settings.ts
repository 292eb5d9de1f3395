/** What a request for pictures may say, and what is made of it: checked, with every gap filled. */
import { type Components, pictureSize } from '../components/components.ts';
import { type SchedulerName, schedulerNames } from '../components/scheduler.ts';
import { mention, mentioning, UsageError } from '../errors.ts';
import type { Image } from '../images/image.ts';
import { brief, listed } from '../messages.ts';
import { Generator } from '../random/generator.ts';
import { promptSyntax } from '../text/prompt-syntax.ts';
import { checkRequest, LARGEST_SIDE, settingError } from './request-settings.ts';

/** Only the prompt is required; the rest defaults to what the model was made for. */
export interface TextToImageRequest {
  /** One prompt, or one for each picture of a batch. */
  readonly prompt: string | readonly string[];
  /**
   * What should not be in the pictures: for models without a guidance embedding, at guidance above 1. For SDXL an empty
   * text is another request than none: the text is encoded, and where there is none zeros stand in its place.
   */
  readonly negativePrompt?: string | readonly string[];
  /** Pictures per prompt. */
  readonly numImages?: number;
  /** In pixels; multiples of the autoencoder's factor (8 for Stable Diffusion). */
  readonly width?: number;
  readonly height?: number;
  readonly steps?: number;
  /** The scale s of classifier-free guidance, w + 1 in the papers' terms; 1 is none. */
  readonly guidanceScale?: number;
  /** φ of Lin et al. 2023, against over-exposure at high guidance; 0 to 1. */
  readonly guidanceRescale?: number;
  /** Picture i is drawn with the seed s + i, or with the i-th of a list. Random by default. */
  readonly seed?: number | readonly number[];
  /** In place of seeds: one generator for each picture, or one for the whole batch, as diffusers takes them. */
  readonly generator?: Generator | readonly Generator[];
  readonly scheduler?: SchedulerName;
  /** DDIM's η, TCD's γ: the share of fresh noise in every step, 0 to 1. */
  readonly eta?: number;
  /** Descending training timesteps in place of a number of steps; for consistency models. */
  readonly timesteps?: readonly number[];
  /** The grid that the model was distilled on, where its scheduler_config.json does not say. */
  readonly originalSteps?: number;
  /** Layers of the text encoder to leave out at its end. */
  readonly clipSkip?: number;
  /** SDXL: what the model is told of the picture, each as [height, width] in pixels or [top, left]. */
  readonly originalSize?: readonly [number, number];
  readonly targetSize?: readonly [number, number];
  readonly cropTopLeft?: readonly [number, number];
  /**
   * Decode in tiles of at most this many pixels along a side, which fade into each other: less memory, and nearly the
   * same picture. By default in one piece, unless that would not fit into the memory.
   */
  readonly tileSize?: number;
  /** Stops at once with its reason. */
  readonly signal?: AbortSignal;
  /** Hears what is done otherwise than asked for, e.g. that a prompt was cut. */
  readonly onWarning?: (message: string) => void;
}

/** Pictures made from another. Their size is the image's, down to the next multiples of the autoencoder's factor. */
export interface ImageToImageRequest extends TextToImageRequest {
  /** Where to begin. Resized when another size is asked for. */
  readonly image: Image;
  /**
   * How far to go from the image: above 0, up to 1 (nothing is left of it). By default 0.8, with a mask 1; for SDXL 0.3
   * and 0.9999.
   */
  readonly strength?: number;
}

/** A picture of which a part is drawn anew. */
export interface InpaintRequest extends Omit<ImageToImageRequest, 'image'> {
  readonly image?: Image;
  /**
   * As large as the image. White is drawn anew, black is kept; of a picture with a hole, the hole is drawn anew, and of
   * strokes on transparency the strokes: see `readMask`.
   */
  readonly mask: Image;
}

/** Any of the three. */
export type GenerationRequest = TextToImageRequest & Partial<Omit<InpaintRequest, keyof TextToImageRequest>>;

/** A request with every gap filled. Pictures of one prompt stand together. */
export interface Settings {
  /** For each picture of the batch. */
  readonly prompts: readonly string[];
  /** Undefined where none was asked for. */
  readonly negativePrompts: readonly (string | undefined)[];
  /** Empty when generators were given. */
  readonly seeds: readonly number[];
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly scheduler: SchedulerName;
  /** How guidance is done: as an input of the network, by a second pass, or not at all. */
  readonly guidance: 'embedded' | 'classifier-free' | 'none';
  readonly eta: number | undefined;
  readonly timesteps: readonly number[] | undefined;
  readonly originalSteps: number | undefined;
  readonly clipSkip: number;
  /** Of image-to-image and inpainting; undefined for text-to-image. */
  readonly strength: number | undefined;
  /** The longest side of a tile in which pictures are decoded, in pixels; undefined: in one piece. */
  readonly tileSize: number | undefined;
  /** SDXL's: original height and width, top and left of the crop, target height and width. */
  readonly timeIds: readonly number[];
}

/** The smallest side of a tile, in latents. */
const LEAST_TILE = 8;

/** Fills the gaps. Throws UsageError for what no request may say, or the model cannot do, before anything is loaded. */
export function settingsOf(model: Components, request: GenerationRequest): Settings {
  checkRequest(request);
  const embedded = model.unet.config.guidanceWidth !== undefined;
  const scheduler = schedulerOf(model, request.scheduler);
  const usual = usualSettings(model, scheduler, request.mask !== undefined);
  const guidanceScale = request.guidanceScale ?? usual.guidanceScale;
  const guidance = embedded ? 'embedded' : guidanceScale > 1 ? 'classifier-free' : 'none';
  const negativePrompts = [request.negativePrompt].flat();
  if (guidance !== 'classifier-free' && negativePrompts.some(Boolean)) {
    const why = embedded
      ? 'this model has its guidance built in and makes a single pass'
      : `guidance scale ${guidanceScale} makes a single pass; raise it above 1`;
    request.onWarning?.(`the negative prompt has no effect: ${why}`);
  }

  const prompts = promptsOf(request);
  warnOfSyntax([...prompts, ...(guidance === 'classifier-free' ? negativePrompts : [])], request.onWarning);
  const steps = request.timesteps?.length ?? request.steps ?? usual.steps;
  const clipSkip = request.clipSkip ?? 0;
  // SDXL attends to the layer before the last as it is, so it has one less to leave out.
  const layers = Math.min(
    model.textEncoder.config.num_hidden_layers,
    (model.second?.textEncoder.config.num_hidden_layers ?? Infinity) - 1,
  );
  if (clipSkip > layers) {
    throw settingError('clipSkip', clipSkip, `the text encoder has ${layers} layers; use 0 to ${layers}`);
  }
  const width = sideOf(model, 'width', request.width, request.image);
  const height = sideOf(model, 'height', request.height, request.image);
  const { originalSize = [height, width], cropTopLeft = [0, 0], targetSize = [height, width] } = request;
  return {
    prompts,
    negativePrompts: perPrompt('negative prompts', negativePrompts, prompts.length),
    seeds: seedsOf(request, prompts.length),
    width,
    height,
    steps,
    guidanceScale,
    guidanceRescale: request.guidanceRescale ?? 0,
    scheduler,
    guidance,
    eta: request.eta,
    timesteps: request.timesteps,
    originalSteps: request.originalSteps,
    clipSkip,
    strength: strengthOf(model, request),
    tileSize: tileSizeOf(model, request.tileSize),
    timeIds: [...originalSize, ...cropTopLeft, ...targetSize],
  };
}

/** What a request gets that says nothing of them, with the sampler that it is drawn by. */
export function usualSettings(
  { unet, second, defaults }: Components,
  scheduler: SchedulerName | undefined,
  inpaints = false,
): { readonly steps: number; readonly guidanceScale: number; readonly isConsistency: boolean } {
  const isConsistency = scheduler === 'lcm' || scheduler === 'tcd';
  const isEmbedded = unet.config.guidanceWidth !== undefined;
  // diffusers' defaults: LatentConsistencyModelPipeline, an LCM-LoRA, SDXL's pipelines but for inpainting, the others.
  const scale = isEmbedded ? 8.5 : isConsistency ? 1 : second && !inpaints ? 5 : 7.5;
  return {
    steps: defaults.steps ?? (isConsistency ? 4 : 50),
    guidanceScale: defaults.guidanceScale ?? scale,
    isConsistency,
  };
}

/** Weights, LoRAs and the like, which some other programs find in prompts. */
function warnOfSyntax(
  prompts: readonly (string | undefined)[],
  onWarning: ((message: string) => void) | undefined,
): void {
  if (!onWarning) return;
  const found = new Set([...new Set(prompts)].flatMap((prompt) => promptSyntax(prompt ?? '')));
  if (found.size === 0) return;
  onWarning(
    `prompts are words here, as in diffusers: ${listed([...found])} would be instructions in some other programs; weights are not applied, and LoRAs are given beside the prompt`,
  );
}

/** Throws UsageError unless image, mask, strength and the model go together. */
function strengthOf(model: Components, { image, mask, strength }: GenerationRequest): number | undefined {
  const { latentChannels, furtherChannels } = model.unet.config;
  if (mask === undefined && furtherChannels > 0) {
    throw new UsageError(
      mentioning`${model.location} is an inpainting model (in_channels is ${latentChannels + furtherChannels}): give an ${mention('image')} and a ${mention('mask')}`,
    );
  }
  if (image === undefined) {
    if (mask !== undefined)
      throw new UsageError(
        mentioning`a ${mention('mask')} needs an ${mention('image')} whose white parts are drawn anew`,
      );
    if (strength !== undefined) throw settingError('strength', strength, 'there is no image to begin with');
    return undefined;
  }
  if (mask !== undefined && (mask.width !== image.width || mask.height !== image.height)) {
    throw new UsageError(
      `the mask is ${mask.width}×${mask.height}, the image ${image.width}×${image.height}; make the mask as large as the image`,
    );
  }
  // As in diffusers, whose pipelines for SDXL have defaults of their own.
  return strength ?? (model.second ? (mask ? 0.9999 : 0.3) : mask ? 1 : 0.8);
}

function tileSizeOf({ vae }: Components, size: number | undefined): number | undefined {
  const least = LEAST_TILE * vae.config.factor;
  if (size === undefined || (size >= least && size % vae.config.factor === 0)) return size;
  throw settingError('tileSize', size, `expected a multiple of ${vae.config.factor} from ${least}`);
}

function schedulerOf(model: Components, wanted: SchedulerName | undefined): SchedulerName {
  const name = wanted ?? model.defaults.scheduler ?? model.scheduler.name;
  if (name !== undefined) return name;
  throw new UsageError(
    `${model.location}: its scheduler, ${brief(model.scheduler.className)}, cannot be used: ${model.scheduler.obstacle}; ` +
      `choose another one, of ${schedulerNames.join(', ')}`,
  );
}

function promptsOf({ prompt, numImages = 1 }: TextToImageRequest): string[] {
  return [prompt].flat().flatMap((text) => new Array<string>(numImages).fill(text));
}

/** A list with one text for each picture: the one text for all, or one for each prompt. */
function perPrompt<T>(what: string, texts: readonly T[], count: number): T[] {
  const repeats = count / texts.length;
  if (Number.isInteger(repeats)) return texts.flatMap((text) => new Array<T>(repeats).fill(text));
  throw new UsageError(`${texts.length} ${what} for ${count} pictures: expected one, or one for each prompt`);
}

function seedsOf({ seed, generator }: TextToImageRequest, count: number): readonly number[] {
  if (generator !== undefined) {
    const { length } = [generator].flat();
    if (length === 1 || length === count) return [];
    throw new UsageError(`${length} generators for ${count} pictures: expected one, or one for each`);
  }
  const first = seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  const seeds = typeof first === 'number' ? Array.from({ length: count }, (_, i) => first + i) : first;
  if (seeds.length !== count)
    throw new UsageError(`${seeds.length} seeds for ${count} pictures: expected one for each`);
  return seeds;
}

/** Where the noise of a request comes from: its own generators, or new ones of the seeds, one for each picture. */
export function generatorsOf(
  { generator }: TextToImageRequest,
  { seeds }: Settings,
): Generator | readonly Generator[] {
  return generator ?? seeds.map((seed) => new Generator(seed));
}

function sideOf(
  model: Components,
  name: 'width' | 'height',
  wanted: number | undefined,
  image: Image | undefined,
): number {
  const { factor } = model.vae.config;
  if (wanted === undefined && image !== undefined && image[name] < factor) {
    throw new UsageError(
      mentioning`the image's ${name} is ${image[name]}; the model needs at least ${factor}: give a ${mention(name)}, or a larger image`,
    );
  }
  const ofImage = image && image[name] - (image[name] % factor);
  const side = wanted ?? ofImage ?? pictureSize(model)?.[name];
  if (side === undefined) {
    throw new UsageError(
      mentioning`the model names no picture size: give ${mention('width')} and ${mention('height')}`,
    );
  }
  if (side % factor === 0 && side <= LARGEST_SIDE) return side;
  const most = Math.floor(LARGEST_SIDE / factor);
  const nearest = Math.min(Math.max(Math.round(side / factor), 1), most) * factor;
  throw settingError(
    name,
    side,
    `the model makes pictures whose sides are multiples of ${factor}, up to ${LARGEST_SIDE}; use ${nearest}`,
  );
}
