/** Group and layer normalisation with learned scale and shift. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { onesInitializer, zerosInitializer } from './initializers.ts';
import type { Params } from './params.ts';

/** Normalises each of `groups` groups of channels over its channels and pixels. x: [B, C, H, W] → same. */
export function groupNorm(p: Params, x: Tensor, groups: number, epsilon = 1e-5): Tensor {
  const channels = x.shape[1]!;
  const scale = p.weight('weight', [channels], onesInitializer);
  return ops.groupNorm(x, scale, p.weight('bias', [channels], zerosInitializer), groups, epsilon);
}

/** Normalises over the last axis. x: [..., C] → same. */
export function layerNorm(p: Params, x: Tensor, epsilon = 1e-5): Tensor {
  const features = x.shape.at(-1)!;
  const scale = p.weight('weight', [features], onesInitializer);
  return ops.layerNorm(x, scale, p.weight('bias', [features], zerosInitializer), epsilon);
}
