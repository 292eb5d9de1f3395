/** The files of a model, wherever they lie: a folder, a server, memory. Named as in a diffusers directory. */
import type { PredictionType } from '../diffusion/prediction.ts';
import type { Checkpoint, CheckpointPrediction } from '../weights/single-file/checkpoint.ts';
import type { Weights } from '../weights/weights.ts';

/** A model's files, wherever they are: a class, a configuration and weights for each component. */
export interface ModelFiles {
  /** For messages: `models/postcards`. */
  readonly location: string;
  /** From model_index.json, e.g. `LatentConsistencyModelPipeline`. */
  readonly pipelineClass: string;
  /** The class of each part, e.g. `unet` → `UNet2DConditionModel`; parts that the model lacks are left out. */
  readonly classes: ReadonlyMap<string, string>;
  /** The other entries of model_index.json, e.g. `force_zeros_for_empty_prompt`; none where there is no such file. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Of a single-file checkpoint. */
  readonly checkpoint?: CheckpointFacts | undefined;
  /** What the UNet predicts according to whoever opened the model, for a scheduler_config.json that does not say it. */
  readonly predictionType?: PredictionType | undefined;
  /** A network: its configuration, and the names and places of its weights. */
  network(component: string): Promise<StoredNetwork>;
  /** The text of another file, such as `tokenizer/vocab.json`; undefined when there is none. */
  text(path: string): Promise<string | undefined>;
}

/** What the names and shapes of a single file tell, and its free-form texts. */
export interface CheckpointFacts extends Pick<Checkpoint, 'family'> {
  /** For messages: the file. */
  readonly location: string;
  /** Undefined where the scheduler_config.json of a folder says it. */
  readonly prediction: CheckpointPrediction | undefined;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A network as it is stored: its configuration, not checked yet, and where its weights lie. */
export interface StoredNetwork {
  /** For messages: `models/postcards/unet`. */
  readonly location: string;
  /** What config.json holds. */
  readonly config: unknown;
  readonly weights: Weights;
}

/** An autoencoder that comes by itself. */
export interface StoredAutoencoder extends StoredNetwork {
  /** `AutoencoderKL` or `AutoencoderTiny`. */
  readonly className: string;
}
