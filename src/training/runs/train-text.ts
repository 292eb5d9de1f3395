/** Training a text encoder alone: to tell from a caption what the picture shows, which needs no pictures. */
import { toldByCaption } from '../../datasets/postcards/labels.ts';
import { type Postcard, postcard } from '../../datasets/postcards/postcards.ts';
import { JUDGE_CLASSES } from '../../evaluation/judge.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { linear } from '../../layers/linear.ts';
import { DeclaredParams } from '../../layers/params.ts';
import { clipText } from '../../models/clip-text.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { writeDiffusersDirectory } from '../../weights/node/write-diffusers.ts';
import { withPrefix } from '../../weights/source.ts';
import { Leaves } from '../objectives/leaves.ts';
import { questionsLoss } from '../objectives/questions.ts';
import { answerTargets } from './answer-targets.ts';
import { withEpochs } from './epochs.ts';
import { requireTokens } from './fitting.ts';
import { captionIds } from './latent-data.ts';
import { loadParameters, networkToWrite, withoutPrefix } from './model-files.ts';
import type { RecipeKind } from './recipe.ts';
import { type TextRunConfig, textRunConfig } from './text-config.ts';
import { freshText, storedText } from './text-start.ts';

/**
 * `lcm train text`: writes a text encoder and a tokenizer to a diffusers folder, for the start of `lcm train diffusion`.
 *
 * A denoiser teaches its text encoder slowly, through the pixels that a word changes: after 253,000 postcards the first
 * embedded model still gave every second balloon another colour. Asked directly, an encoder learns in minutes which word
 * belongs to which thing.
 */
export const textTraining: RecipeKind<TextRunConfig> = {
  name: 'text',
  configure: (given) => withEpochs(textRunConfig(given)),
  async open(config) {
    const cards = (index: number) => postcard(index, { ...config.data, split: 'train' });
    const source = { size: Number.POSITIVE_INFINITY, caption: (index: number) => cards(index).caption };
    const { initial } = config;
    const text = await (initial === null ? freshText(config, source) : storedText(initial, source));
    requireTokens(text.tokenizer, text.config, initial ?? 'the settings');
    return {
      data: {},
      write(share) {
        const declared = new DeclaredParams();
        const leaves = new Leaves<TextDraw>(share);
        const ids = leaves.tensor(
          'ids',
          [share, text.config.max_position_embeddings],
          (drawn) => drawn.ids,
          'int64',
        );
        const targets = leaves.tensor('targets', [share, JUDGE_CLASSES], (drawn) => drawn.targets);
        const { pooled } = clipText(text.config, declared.params.in(TEXT_ENCODER), ids);
        const logits = linear(declared.params.in(QUESTIONS), pooled, JUDGE_CLASSES);
        return {
          objective: questionsLoss(logits, targets),
          trained: declared.declarations,
          counts: { text_encoder: declared.count },
          open: async () => ({
            batch: async (at) => ({
              inputs: leaves.inputs(draw(config, text.tokenizer, cards, at)),
              images: config.batch,
            }),
          }),
        };
      },
      async start(parameters) {
        if (!text.weights) return;
        const weights = withPrefix(text.weights, `${TEXT_ENCODER}.`);
        await loadParameters(parameters, weights, initial ?? '', (name) => name.startsWith(`${QUESTIONS}.`));
      },
      async writeModel(directory, model) {
        const tensors = withoutPrefix(model.tensors(), `${TEXT_ENCODER}.`);
        const components = {
          text_encoder: networkToWrite('text_encoder', text.config, tensors),
          tokenizer: {
            library: 'transformers',
            className: 'CLIPTokenizer',
            files: text.tokenizerFiles,
          },
        };
        const contents = { pipelineClass: 'StableDiffusionPipeline', components };
        await writeDiffusersDirectory(directory, contents, { replace: true });
      },
    };
  },
};

const TEXT_ENCODER = 'text_encoder';
/** The layer that answers, which is not kept. */
const QUESTIONS = 'questions';

interface TextDraw {
  /** [B, L] int64. */
  readonly ids: HostTensor;
  /** [B, JUDGE_CLASSES], a 1 at the answers that the caption tells. */
  readonly targets: HostTensor;
}

function draw(
  { batch }: TextRunConfig,
  tokenizer: ClipTokenizer,
  cards: (index: number) => Postcard,
  at: number,
): TextDraw {
  const drawn = Array.from({ length: batch }, (_, i) => cards(at * batch + i));
  return {
    ids: captionIds(
      tokenizer,
      drawn.map(({ caption }) => caption),
    ),
    targets: hostTensor(answerTargets(drawn, toldByCaption), [batch, JUDGE_CLASSES]),
  };
}
