/** Canvases in Node, by @napi-rs/canvas (Skia). */

import { createCanvas } from '@napi-rs/canvas';
import type { Canvas2D } from '../postcards/canvas2d.ts';

/** The 2D context of a new canvas. */
export function createContext(width: number, height: number): Canvas2D {
  return createCanvas(width, height).getContext('2d');
}
