/** The files of a model on this machine, with what of them is copied when the model is written anew. */
import type { ModelFiles } from '../model-files.ts';

/** The files of a model on this machine. */
export interface StoredModel extends ModelFiles {
  /**
   * Whether it is put together: from several places, or from a file that does not tell all that a diffusers directory
   * says. Then nobody but `loadComponents` has seen whether its parts belong together.
   */
  readonly isCombined: boolean;
  /** Of diffusers' `model_index.json`: where the class of each part comes from, e.g. `transformers`. */
  readonly libraries: ReadonlyMap<string, string>;
  /**
   * The files of a part that is no network, such as a tokenizer, by name. Throws InputError when there are none, and for
   * links that lead out of the model.
   */
  copies(part: string): Promise<Readonly<Record<string, string | Uint8Array>>>;
  /** The texts about the model, such as its licence, by name. */
  about(): Promise<Readonly<Record<string, Uint8Array>>>;
}

/** The library of diffusers' and transformers' classes that are known here. */
export function libraryOf(className: string): 'diffusers' | 'transformers' {
  return className.startsWith('CLIP') ? 'transformers' : 'diffusers';
}
