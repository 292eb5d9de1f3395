/**
 * The part of the Canvas 2D interface that postcards are drawn with, and shapes over it. A browser's canvas, an
 * OffscreenCanvas and @napi-rs/canvas all have it.
 */

/** The members of a 2D context that drawing and reading back need. */
export interface Canvas2D {
  // Each platform has a union of its own here; drawing writes only strings and gradients of this context.
  fillStyle: unknown;
  strokeStyle: unknown;
  lineWidth: number;
  lineCap: 'butt' | 'round' | 'square';
  lineJoin: 'bevel' | 'miter' | 'round';
  save(): void;
  restore(): void;
  translate(x: number, y: number): void;
  scale(x: number, y: number): void;
  rotate(angle: number): void;
  beginPath(): void;
  closePath(): void;
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  arc(x: number, y: number, radius: number, start: number, end: number, counterclockwise?: boolean): void;
  ellipse(x: number, y: number, rx: number, ry: number, rotation: number, start: number, end: number): void;
  fill(): void;
  stroke(): void;
  fillRect(x: number, y: number, width: number, height: number): void;
  createLinearGradient(x0: number, y0: number, x1: number, y1: number): Gradient;
  getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
}

/** A transition between colours. */
export interface Gradient {
  addColorStop(offset: number, color: string): void;
}

/** Red, green and blue, 0–255; values outside are clipped when they are used. */
export type Rgb = readonly [red: number, green: number, blue: number];

const byte = (value: number): number => Math.max(0, Math.min(255, Math.round(value)));

/** A CSS colour; alpha 0–255 as in the colours. */
export function css([red, green, blue]: Rgb, alpha = 255): string {
  const rgb = `${byte(red)},${byte(green)},${byte(blue)}`;
  return alpha >= 255 ? `rgb(${rgb})` : `rgba(${rgb},${(alpha / 255).toFixed(3)})`;
}

/** The colour under a light, given per channel or as one factor. */
export function lit(color: Rgb, light: Rgb | number): Rgb {
  const [red, green, blue] = typeof light === 'number' ? [light, light, light] : light;
  return [color[0] * red, color[1] * green, color[2] * blue];
}

/** `from` at 0, `to` at 1. */
export function blend(from: Rgb, to: Rgb, amount: number): Rgb {
  const at = (i: 0 | 1 | 2): number => from[i] + (to[i] - from[i]) * amount;
  return [at(0), at(1), at(2)];
}

/** Draws a path through the points (x, y, x, y, …), closed or not, without painting it. */
function trace(ctx: Canvas2D, points: readonly number[]): void {
  ctx.beginPath();
  ctx.moveTo(points[0]!, points[1]!);
  for (let i = 2; i < points.length; i += 2) ctx.lineTo(points[i]!, points[i + 1]!);
}

/** A filled polygon through (x, y, x, y, …). */
export function polygon(ctx: Canvas2D, fill: string | Gradient, points: readonly number[]): void {
  ctx.fillStyle = fill;
  trace(ctx, points);
  ctx.closePath();
  ctx.fill();
}

/** A line through (x, y, x, y, …) with round caps and joins. */
export function line(ctx: Canvas2D, stroke: string, width: number, points: readonly number[]): void {
  ctx.strokeStyle = stroke;
  ctx.lineWidth = width;
  ctx.lineCap = 'round';
  ctx.lineJoin = 'round';
  trace(ctx, points);
  ctx.stroke();
}

export function disc(ctx: Canvas2D, fill: string, x: number, y: number, radius: number): void {
  ctx.fillStyle = fill;
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.fill();
}

export function ellipse(ctx: Canvas2D, fill: string, x: number, y: number, rx: number, ry: number): void {
  ctx.fillStyle = fill;
  ctx.beginPath();
  ctx.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
  ctx.fill();
}

export function box(ctx: Canvas2D, fill: string, x: number, y: number, width: number, height: number): void {
  ctx.fillStyle = fill;
  ctx.fillRect(x, y, width, height);
}

/** A vertical gradient from y0 to y1 with evenly spaced colours. */
export function verticalGradient(ctx: Canvas2D, y0: number, y1: number, colors: readonly Rgb[]): Gradient {
  const gradient = ctx.createLinearGradient(0, y0, 0, y1);
  for (const [i, color] of colors.entries()) gradient.addColorStop(i / (colors.length - 1), css(color));
  return gradient;
}

/** Draws with the origin at (x, y), scaled, and leaves the context as it was. */
export function at(ctx: Canvas2D, x: number, y: number, scale: number, draw: () => void): void {
  ctx.save();
  ctx.translate(x, y);
  ctx.scale(scale, scale);
  draw();
  ctx.restore();
}
