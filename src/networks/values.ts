/** What a model's networks are given, and what they give, beyond single tensors. */
import type { HostTensor } from '../graph/host-tensor.ts';
import type { Shape } from '../graph/shape.ts';

export interface UNetInputs {
  /** Noisy latents, [B, C, h, w]; for inpainting UNets with mask and masked picture as further channels. */
  readonly sample: HostTensor;
  /** The same for the whole batch, 0 to 999. */
  readonly timestep: number;
  /** States of the text encoder, [B, L, D]. */
  readonly states: HostTensor;
  /** Guidance embedding, [B, E], for UNets that take one. */
  readonly guidance?: HostTensor | undefined;
  readonly added?: AddedConditions | undefined;
}

/** What SDXL's UNet is told besides the states. */
export interface AddedConditions {
  /** Pooled prompts, [B, P]. */
  readonly textEmbeds: HostTensor;
  /** Original height and width, top and left of the crop, target height and width: [B, 6] float32. */
  readonly timeIds: HostTensor;
}

/** A Gaussian over latents, or the latents themselves. */
export interface EncodedPicture {
  /** [1, C, h, w], as the UNet sees them. */
  readonly mean: HostTensor;
  /** Standard deviation, [1, C, h, w]; undefined for autoencoders that have none. */
  readonly deviation: HostTensor | undefined;
}

/** The shapes that a generation will need. */
export interface GenerationShapes {
  /** Token ids for each text encoder, [U, L]. */
  readonly ids: readonly Shape[];
  readonly latents: Shape;
  /** What is decoded at a time, [1, C, h, w]: the latents of a picture, or of a tile of it. */
  readonly decoded: Shape;
  /** Of the picture to begin with, [1, 3, H, W]; undefined for text-to-image. */
  readonly pixels: Shape | undefined;
  /** Images in one pass of the UNet: the batch, or twice the batch with classifier-free guidance. */
  readonly unetBatch: number;
  readonly clipSkip: number;
}
