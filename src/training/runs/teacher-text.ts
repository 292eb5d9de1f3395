/** What the networks of a training step are told of a batch's captions: leaves that the frozen text encoders' values fill. */
import { hostTensor } from '../../graph/host-tensor.ts';
import { filled } from '../../graph/tensor.ts';
import type { Leaves } from '../objectives/leaves.ts';
import type { CaptionEncoder, CaptionValues } from './caption-states.ts';
import type { ConsistencyText } from './consistency-step.ts';

/** The captions of a batch as they were read, and the empty one. */
export interface CaptionDraw {
  readonly text: CaptionValues;
  readonly empty: CaptionValues;
}

export interface CaptionOptions {
  readonly encoder: CaptionEncoder;
  /** Whether the empty caption is needed, for the unconditional half of the guidance. */
  readonly guided: boolean;
  /** Stable Diffusion XL: zeros stand for the empty caption. */
  readonly zerosForEmptyPrompt: boolean;
  /** Of the pictures, in pixels. */
  readonly size: { readonly width: number; readonly height: number };
}

export function captionLeaves<Drawn extends CaptionDraw>(
  { encoder, guided, zerosForEmptyPrompt, size: { width, height } }: CaptionOptions,
  leaves: Leaves<Drawn>,
): ConsistencyText {
  const { shape, pooledWidth } = encoder;
  const { share } = leaves;
  const isXL = pooledWidth !== undefined;
  const states = leaves.tensor('states', [share, ...shape], ({ text }) => text.states);
  // Pictures are seen whole, at the size that is trained: original size, corner of the crop, target size.
  const sizes = [height, width, 0, 0, height, width];
  const added = isXL
    ? {
        textEmbeds: leaves.tensor('pooled', [share, pooledWidth], ({ text }) => text.pooled!),
        timeIds: leaves.tensor('time_ids', [share, sizes.length], ({ text }) => {
          const rows = text.states.shape[0]!;
          const values = Array.from({ length: rows }, () => sizes).flat();
          return hostTensor(Float32Array.from(values), [rows, sizes.length]);
        }),
      }
    : undefined;
  if (!guided) return { states, added, unconditional: undefined };
  if (zerosForEmptyPrompt) {
    const pooled = isXL ? filled([1, pooledWidth], 0) : undefined;
    return { states, added, unconditional: { states: filled([1, ...shape], 0), pooled } };
  }
  const pooled = isXL
    ? leaves.tensor('unconditional_pooled', [1, pooledWidth], ({ empty }) => empty.pooled!)
    : undefined;
  const empty = leaves.tensor('unconditional_states', [1, ...shape], (drawn) => drawn.empty.states);
  return { states, added, unconditional: { states: empty, pooled } };
}
