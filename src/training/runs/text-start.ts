/** The text encoder and the tokenizer that a training starts with: a stored one's, or fresh ones. */
import { loadTextPart } from '../../components/components.ts';
import { openModel } from '../../components/node/open-model.ts';
import { type CLIPTextConfig, clipTextConfig } from '../../models/clip-text.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { tokenizerFromFiles, trainTokenizer } from '../../text/train-bpe.ts';
import type { Weights } from '../../weights/weights.ts';
import type { DiffusionRunConfig } from './diffusion-config.ts';
import { networkOf } from './model-files.ts';

/** What a training has to know of its text encoder. */
export interface TextStart {
  readonly tokenizer: ClipTokenizer;
  /** Its files, by name. */
  readonly tokenizerFiles: Readonly<Record<string, string | Uint8Array>>;
  readonly config: CLIPTextConfig;
  /** Undefined for a start afresh. */
  readonly weights: Weights | undefined;
}

/** Of the model `name`. Throws InputError when it has no text encoder and tokenizer that are read here. */
export async function storedText(name: string): Promise<TextStart> {
  const model = await openModel(name);
  const { config, weights } = await networkOf(model, 'text_encoder');
  const { tokenizer } = await loadTextPart(model);
  return {
    tokenizer,
    tokenizerFiles: await model.copies('tokenizer'),
    config: clipTextConfig(config),
    weights,
  };
}

/** Captions from which a tokenizer learns its words, where there are more. */
const CAPTIONS = 20_000;

/** A tokenizer that knows the words of the captions, and an encoder for it. */
export async function freshText(
  { textEncoder, vocabularySize }: Pick<DiffusionRunConfig, 'textEncoder' | 'vocabularySize'>,
  source: { readonly size: number; caption(index: number): string },
): Promise<TextStart> {
  const captions = Array.from({ length: Math.min(CAPTIONS, source.size) }, (_, i) => source.caption(i));
  const files = trainTokenizer(captions, vocabularySize, textEncoder.max_position_embeddings);
  const tokenizer = await tokenizerFromFiles(files);
  return {
    tokenizer,
    tokenizerFiles: files,
    config: { ...textEncoder, vocab_size: tokenizer.vocabularySize },
    weights: undefined,
  };
}
