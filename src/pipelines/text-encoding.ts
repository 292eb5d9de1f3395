/** Prompts to the states that the UNet attends to. */

import type { TextPart } from '../components/components.ts';
import type { RunOptions } from '../engines/engine.ts';
import { float32Data, type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Networks } from '../networks/networks.ts';

/** Different prompts once each, and which of them every row of the batch uses. */
export interface TokenizedPrompts {
  /** [U, L] int64. */
  readonly ids: HostTensor;
  /** For each row of the batch its row of `ids`. */
  readonly rows: readonly number[];
}

/** Token ids, cut and padded to the encoder's length. `onWarning` hears of every prompt that was cut, and where. */
export function tokenizePrompts(
  { tokenizer, textEncoder }: TextPart,
  prompts: readonly string[],
  onWarning?: (message: string) => void,
): TokenizedPrompts {
  const unique = [...new Set(prompts)];
  const rowOf = new Map(unique.map((prompt, row) => [prompt, row]));
  const length = Math.min(tokenizer.maxLength, textEncoder.config.max_position_embeddings);
  const texts = unique.map((prompt) => tokenizer.tokenize(prompt, length));
  for (const { truncated } of texts) {
    if (truncated === undefined) continue;
    onWarning?.(
      `the prompt is longer than the ${length - 2} tokens that the model reads; left out is: ${quoted(truncated)}`,
    );
  }
  const ids = BigInt64Array.from(
    texts.flatMap((text) => text.ids),
    BigInt,
  );
  return {
    ids: hostTensor(ids, [unique.length, length]),
    rows: prompts.map((prompt) => rowOf.get(prompt)!),
  };
}

/** States for every row of the batch, [B, L, D]. */
export async function encodePrompts(
  networks: Networks,
  { ids, rows }: TokenizedPrompts,
  clipSkip: number,
  options?: RunOptions,
): Promise<HostTensor> {
  return takeRows(await networks.encodeText(ids, clipSkip, options), rows);
}

/** tensor: [U, ...] → [rows.length, ...]; a row of `undefined` is zeros. */
export function takeRows(tensor: HostTensor, rows: readonly (number | undefined)[]): HostTensor {
  const data = float32Data(tensor);
  const size = data.length / tensor.shape[0]!;
  const taken = new Float32Array(rows.length * size);
  rows.forEach((row, i) => {
    if (row !== undefined) taken.set(data.subarray(row * size, (row + 1) * size), i * size);
  });
  return hostTensor(taken, [rows.length, ...tensor.shape.slice(1)]);
}

/** At most the first hundred characters or so. */
function quoted(text: string): string {
  return text.length > 100 ? `"${text.slice(0, 100)} …" (${text.length} characters)` : `"${text}"`;
}
