/** Canvases in browsers, in a page or a worker. */

import { InputError } from '../../errors.ts';
import type { Canvas2D } from '../postcards/canvas2d.ts';

/** The 2D context of a new OffscreenCanvas. */
export function createContext(width: number, height: number): Canvas2D {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (context === null) throw new InputError('this browser gives no 2D context for an OffscreenCanvas');
  return context;
}
