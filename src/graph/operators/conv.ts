/** Convolution over images. */
import { formatShape, ShapeError } from '../shape.ts';
import { operation, rule, type Tensor } from '../tensor.ts';
import { convGradients } from './conv-gradients.ts';
import { reduceSum } from './reduce.ts';

/** Stride and dilation (1 by default), padding (none), and groups (1). */
export interface Conv2dOptions {
  readonly stride?: number;
  /** Zeros around the picture: one number for all sides, or [top, left, bottom, right]. */
  readonly padding?: number | Padding;
  readonly dilation?: number;
  readonly groups?: number;
}

/** Zeros on each side of a picture. */
export type Padding = readonly [top: number, left: number, bottom: number, right: number];

/** How a kernel moves over a picture: `Conv2dOptions` with every gap filled. */
export interface ConvGeometry {
  readonly stride: number;
  readonly padding: Padding;
  readonly dilation: number;
  readonly groups: number;
}

/** x [B, C, H, W] with weight [O, C/groups, kH, kW] and bias [O] → [B, O, H', W']. */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor, options: Conv2dOptions = {}): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const sides: Padding = typeof padding === 'number' ? [padding, padding, padding, padding] : padding;
  const geometry: ConvGeometry = { stride, padding: sides, dilation, groups };
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [out, perGroup, kernelH, kernelW] = weight.shape as [number, number, number, number];
  const [top, left, bottom, right] = sides;
  const outH = Math.floor((height + top + bottom - dilation * (kernelH - 1) - 1) / stride) + 1;
  const outW = Math.floor((width + left + right - dilation * (kernelW - 1) - 1) / stride) + 1;
  const fits =
    x.shape.length === 4 &&
    weight.shape.length === 4 &&
    channels === perGroup * groups &&
    out % groups === 0 &&
    (!bias || (bias.shape.length === 1 && bias.shape[0] === out));
  if (!fits || outH < 1 || outW < 1) {
    throw new ShapeError(
      `Conv: x ${formatShape(x.shape)}, weight ${formatShape(weight.shape)}` +
        `${bias ? `, bias ${formatShape(bias.shape)}` : ''} with groups ${groups}, stride ${stride}, ` +
        `padding [${sides}], dilation ${dilation} do not fit: expected x [B, C, H, W], weight [O, C/groups, kH, kW], bias [O]`,
    );
  }
  return operation('Conv', bias ? [x, weight, bias] : [x, weight], [batch, out, outH, outW], x.dtype, {
    attributes: {
      strides: { ints: [stride, stride] },
      pads: { ints: sides },
      dilations: { ints: [dilation, dilation] },
      group: { int: groups },
      kernel_shape: { ints: [kernelH, kernelW] },
    },
    gradient: rule((g) => [...convGradients(g, x, weight, geometry), bias && reduceSum(g, [0, 2, 3])]),
  });
}
