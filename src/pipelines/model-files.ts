/** The files of a model, wherever they lie: a folder, a server, memory. Named as in a diffusers directory. */
import type { Weights } from '../weights/weights.ts';

export interface ModelFiles {
  /** For messages: `models/postcards`. */
  readonly location: string;
  /** From model_index.json, e.g. `LatentConsistencyModelPipeline`. */
  readonly pipelineClass: string;
  /** The class of each part, e.g. `unet` → `UNet2DConditionModel`; parts that the model lacks are left out. */
  readonly classes: ReadonlyMap<string, string>;
  /** The other entries of model_index.json, e.g. `force_zeros_for_empty_prompt`; none where there is no such file. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Opens a network: its configuration, and the names and places of its weights. */
  network(component: string): Promise<StoredNetwork>;
  /** The text of another file, such as `tokenizer/vocab.json`; undefined when there is none. */
  text(path: string): Promise<string | undefined>;
}

export interface StoredNetwork {
  /** For messages: `models/postcards/unet`. */
  readonly location: string;
  /** What config.json holds. */
  readonly config: unknown;
  readonly weights: Weights;
}
