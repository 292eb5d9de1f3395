/**
 * How large the numbers of a configuration may be. Each bound is well above what any published model has, and low
 * enough that nothing is done for minutes, or asked of the memory, because of a number alone. What a model then needs
 * is compared with its weights, and with the memory there is.
 */

import type { Range } from '../range.ts';

/** Channels of feature maps and widths of layers: 2,816 in SDXL, 5,120 in OpenCLIP bigG. A square matrix has 4 GB. */
export const WIDTHS: Range = { least: 1, most: 2 ** 15 };

/** Resolutions of a network, each half of the one before: 4 in Stable Diffusion. 8 of them are a factor of 128. */
export const LEVELS: Range = { least: 1, most: 8 };

/** Blocks after each other: 10 transformer layers in SDXL, 32 in OpenCLIP bigG. */
export const LAYERS: Range = { least: 1, most: 128 };

/** Residual blocks and transformer layers of a whole network: about 90 in SDXL. A graph of so many is written in a second. */
export const MOST_BLOCKS = 1024;

/** Tokens that a text encoder knows: 49,408 in CLIP. */
export const VOCABULARY: Range = { least: 1, most: 2 ** 20 };

/** Ids of tokens. */
export const TOKEN_IDS: Range = { least: 0, most: VOCABULARY.most };

/** Tokens of a prompt, of which two begin and end it: 77 in CLIP. Attention grows with their square. */
export const POSITIONS: Range = { least: 2, most: 2 ** 12 };

/** The sides of pictures or latents that a model was trained at. */
export const SIDES: Range = { least: 1, most: 2 ** 14 };

/** Kernels of convolutions: 3 nearly everywhere. */
export const KERNELS: Range = { least: 1, most: 15 };

/** The ε that keeps a norm from dividing by zero: 1e-6 to 1e-5. In float32 it must not be zero itself. */
export const EPSILONS: Range = { least: 1e-20, most: 1 };

/** Factors by which latents are scaled: 0.13 to 1.5. Latents times zero, or divided by it, are a grey picture. */
export const SCALES: Range = { least: 1e-6, most: 1e6 };

/** What is added to latents: −1 to 1. */
export const SHIFTS: Range = { least: -1e6, most: 1e6 };
