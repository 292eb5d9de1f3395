/**
 * The judge of postcards: a small convolutional classifier that answers the ten questions of `LABEL_HEADS` about a
 * picture. It is trained on real pictures only and measures how well drawn ones follow their captions; its features
 * are those in which the Fréchet distance is taken.
 */
import { LABEL_HEAD_NAMES, LABEL_HEADS, type LabelHead } from '../datasets/postcards/labels.ts';
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { conv2d, linear } from '../layers/linear.ts';
import { groupNorm } from '../layers/normalization.ts';
import type { Params } from '../layers/params.ts';
import { configFields } from '../models/config.ts';
import { SIDES, WIDTHS } from '../models/limits.ts';

/** The configuration of the judge, the classifier that postcards are measured with. */
export interface JudgeConfig {
  /** Pictures are [B, 3, sample_size, sample_size]. */
  readonly sample_size: number;
  /** Channels of each level; every level but the first halves the picture. */
  readonly block_out_channels: readonly number[];
  readonly norm_num_groups: number;
  /** Length of the feature vector. */
  readonly feature_dim: number;
}

/** 0.7 million parameters, 40 M multiply-adds per picture. */
export const JUDGE_CONFIG: JudgeConfig = {
  sample_size: 64,
  block_out_channels: [24, 48, 96, 128, 128],
  norm_num_groups: 8,
  feature_dim: 192,
};

/** Checks a judge's config.json. Throws InputError naming the field that is wrong. */
export function judgeConfig(json: unknown): JudgeConfig {
  const fields = configFields('PostcardJudge', json);
  const config: JudgeConfig = {
    sample_size: fields.integer('sample_size', JUDGE_CONFIG.sample_size, SIDES),
    block_out_channels: fields.integers('block_out_channels', JUDGE_CONFIG.block_out_channels, WIDTHS),
    norm_num_groups: fields.integer('norm_num_groups', JUDGE_CONFIG.norm_num_groups, WIDTHS),
    feature_dim: fields.integer('feature_dim', JUDGE_CONFIG.feature_dim, WIDTHS),
  };
  fields.finish();
  const { block_out_channels: channels, norm_num_groups: groups } = config;
  if (channels.some((count) => count % groups !== 0)) {
    fields.fail('norm_num_groups', 'a divisor of each of block_out_channels');
  }
  return config;
}

/** How many classes all heads have together. */
export const JUDGE_CLASSES = LABEL_HEAD_NAMES.reduce((sum, head) => sum + LABEL_HEADS[head].length, 0);

export interface Judgement {
  /** [B, feature_dim], after the activation. */
  readonly features: Tensor;
  /** The heads' logits side by side, in the order of `LABEL_HEAD_NAMES`: [B, JUDGE_CLASSES]. */
  readonly logits: Tensor;
}

/** pictures: [B, 3, H, W] in [−1, 1]. */
export function judge(config: JudgeConfig, p: Params, pictures: Tensor): Judgement {
  let x = pictures;
  config.block_out_channels.forEach((channels, level) => {
    const block = p.in('blocks').in(level);
    x = conv2d(block.in('conv'), x, channels, { stride: level === 0 ? 1 : 2 });
    x = ops.relu(groupNorm(block.in('norm'), x, config.norm_num_groups));
  });
  const flat = ops.reshape(x, [x.shape[0]!, -1]);
  const features = ops.relu(linear(p.in('features'), flat, config.feature_dim));
  return { features, logits: linear(p.in('heads'), features, JUDGE_CLASSES) };
}

/** The part of the logits that belongs to each head: [B, classes of the head]. */
export function splitHeads(logits: Tensor): Map<LabelHead, Tensor> {
  const sizes = LABEL_HEAD_NAMES.map((head) => LABEL_HEADS[head].length);
  const parts = ops.split(logits, sizes, 1);
  return new Map(LABEL_HEAD_NAMES.map((head, i) => [head, parts[i]!]));
}

/** Where each head's logits begin in a row of `logits`. */
export const HEAD_OFFSETS: ReadonlyMap<LabelHead, number> = new Map(
  LABEL_HEAD_NAMES.map((head, i) => [
    head,
    LABEL_HEAD_NAMES.slice(0, i).reduce((sum, before) => sum + LABEL_HEADS[before].length, 0),
  ]),
);

/** The answers in one row of logits: for each head the class with the largest logit. */
export function answers(logits: Float32Array): Record<LabelHead, number> {
  const chosen = LABEL_HEAD_NAMES.map((head) => {
    const start = HEAD_OFFSETS.get(head)!;
    const row = logits.subarray(start, start + LABEL_HEADS[head].length);
    return [head, row.indexOf(Math.max(...row))] as const;
  });
  return Object.fromEntries(chosen) as Record<LabelHead, number>;
}
