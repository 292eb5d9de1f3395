/** The text encoder and the tokenizer that a training starts with: a stored one's, or fresh ones. */
import { loadTextPart } from '../../components/components.ts';
import { openModel } from '../../components/node/open-model.ts';
import { formatJson } from '../../files/format-json.ts';
import { type CLIPTextConfig, clipTextConfig } from '../../models/clip-text.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { tokenizerFromFiles, trainTokenizer } from '../../text/train-bpe.ts';
import { collectCaptions, TRAINING_CAPTIONS, type TrainingCaptions } from '../../text/training-captions.ts';
import type { Weights } from '../../weights/weights.ts';
import type { PictureSource } from '../data/picture-source.ts';
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

/**
 * Of the model `name`, which is to read the captions of `source`. Throws InputError when it has no text encoder and
 * tokenizer that are read here.
 */
export async function storedText(name: string, source: Captioned): Promise<TextStart> {
  const model = await openModel(name);
  const { config, weights } = await networkOf(model, 'text_encoder');
  const { tokenizer, captions } = await loadTextPart(model);
  const files = await model.copies('tokenizer');
  return {
    tokenizer,
    // What does not say what it has read before has read more than can be told.
    tokenizerFiles: captions
      ? { ...files, ...captionsFile(collectCaptions(captionsOf(source), captions)) }
      : files,
    config: clipTextConfig(config),
    weights,
  };
}

/** Pictures with their captions, numbered; there may be no end of them. */
type Captioned = Pick<PictureSource, 'size' | 'caption'>;

/** Captions from which a tokenizer learns its words, where there are more; of endless ones they have all words. */
const CAPTIONS = 20_000;

function* captionsOf(source: Captioned): Generator<string> {
  const count = Number.isFinite(source.size) ? source.size : CAPTIONS;
  for (let i = 0; i < count; i++) yield source.caption(i);
}

function captionsFile(captions: TrainingCaptions): Record<string, Uint8Array> {
  return { [TRAINING_CAPTIONS]: formatJson({ ...captions }) };
}

/** A tokenizer that knows the words of the captions, and an encoder for it. */
export async function freshText(
  { textEncoder, vocabularySize }: Pick<DiffusionRunConfig, 'textEncoder' | 'vocabularySize'>,
  source: Captioned,
): Promise<TextStart> {
  const captions = [...captionsOf(source)];
  const files = trainTokenizer(
    captions.slice(0, CAPTIONS),
    vocabularySize,
    textEncoder.max_position_embeddings,
  );
  const tokenizer = await tokenizerFromFiles(files);
  return {
    tokenizer,
    tokenizerFiles: { ...files, ...captionsFile(collectCaptions(captions)) },
    config: { ...textEncoder, vocab_size: tokenizer.vocabularySize },
    weights: undefined,
  };
}
