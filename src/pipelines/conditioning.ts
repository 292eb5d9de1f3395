/** What the UNet is told besides the latents: the states of the prompts and, for SDXL, pooled prompts and sizes. */

import type { Components } from '../components/components.ts';
import type { RunOptions } from '../engines/engine.ts';
import { float32Data, type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Networks } from '../networks/networks.ts';
import type { AddedConditions } from '../networks/values.ts';
import { warnOfUnknownWords } from '../text/training-captions.ts';
import type { Settings } from './settings.ts';
import { encodePrompts, type TokenizedPrompts, takeRows, tokenizePrompts } from './text-encoding.ts';

export interface Conditioning {
  /** [B, L, D]; with classifier-free guidance [2B, L, D], the negative prompts first. */
  readonly states: HostTensor;
  /** For SDXL, with as many rows. */
  readonly added: AddedConditions | undefined;
}

/** The prompts of every row of the batch, for each text encoder. */
export interface Prompts {
  readonly texts: readonly string[];
  readonly tokens: readonly TokenizedPrompts[];
  /** Rows whose conditions are zeros in place of what the encoders say. */
  readonly zero: readonly boolean[];
}

/** `onWarning` hears of every prompt that was cut, and where, and of words that the model has never read. */
export function promptsOf(
  model: Components,
  { prompts, negativePrompts, guidance }: Settings,
  onWarning?: (message: string) => void,
): Prompts {
  const negatives = guidance === 'classifier-free' ? negativePrompts : [];
  const texts = [...negatives.map((text = '') => text), ...prompts];
  warnOfUnknownWords(model.captions, texts, onWarning);
  const zeros = model.second !== undefined && model.zerosForEmptyPrompt;
  return {
    texts,
    tokens: [
      tokenizePrompts(model, texts, onWarning),
      ...(model.second ? [tokenizePrompts(model.second, texts)] : []),
    ],
    zero: texts.map((_, row) => zeros && row < negatives.length && negatives[row] === undefined),
  };
}

/** Runs the text encoders. */
export async function encodeConditioning(
  networks: Networks,
  { tokens: [first, second], zero }: Prompts,
  { clipSkip, timeIds }: Settings,
  options?: RunOptions,
): Promise<Conditioning> {
  if (second === undefined) {
    return { states: await encodePrompts(networks, first!, clipSkip, options), added: undefined };
  }
  const rowsOf = ({ rows }: TokenizedPrompts) => rows.map((row, i) => (zero[i] ? undefined : row));
  const one = await networks.encodeTextXL('first', first!.ids, clipSkip, options);
  const two = await networks.encodeTextXL('second', second.ids, clipSkip, options);
  return {
    states: joinFeatures(takeRows(one.states, rowsOf(first!)), takeRows(two.states, rowsOf(second))),
    added: {
      textEmbeds: takeRows(two.pooled!, rowsOf(second)),
      timeIds: hostTensor(Float32Array.from(zero.flatMap(() => timeIds)), [zero.length, timeIds.length]),
    },
  };
}

/** a: [B, L, D], b: [B, L, E] → [B, L, D + E]. */
function joinFeatures(a: HostTensor, b: HostTensor): HostTensor {
  const [batch, length, widthA] = a.shape as [number, number, number];
  const widthB = b.shape[2]!;
  const width = widthA + widthB;
  const joined = new Float32Array(batch * length * width);
  for (let i = 0; i < batch * length; i++) {
    joined.set(float32Data(a).subarray(i * widthA, (i + 1) * widthA), i * width);
    joined.set(float32Data(b).subarray(i * widthB, (i + 1) * widthB), i * width + widthA);
  }
  return hostTensor(joined, [batch, length, width]);
}
