/**
 * What a postcard is of: cottage, tent, castle, windmill, lighthouse or sailboat. Each is drawn around the
 * middle of its foot, at scale 1 about 20 px wide and up to 20 high.
 */

import type { Color, Landmark } from './attributes.ts';
import { at, box, type Canvas2D, css, disc, ellipse, line, lit, polygon, type Rgb } from './canvas2d.ts';
import type { Random } from './random.ts';
import type { Scene } from './scene.ts';

export const PAINT: Record<Color, Rgb> = {
  red: [214, 46, 44],
  yellow: [248, 204, 40],
  blue: [38, 96, 214],
  purple: [150, 62, 180],
};

/** The share of light that the right, shaded side of a thing gets. */
export const SHADE = 0.76;

/** What an object painter needs besides the canvas: colours in this picture's light. */
interface Brush {
  /** The colour in the picture's light, times an optional shade. */
  paint(color: Rgb, shade?: number): string;
  /** The object's own colour, times an optional shade. */
  own(shade?: number): string;
  window: string;
  night: boolean;
  /** Whether there are pixels enough for details. */
  fine: boolean;
  random: Random;
}

function drawCottage(ctx: Canvas2D, { paint, own, window, fine }: Brush): void {
  const wall: Rgb = [244, 230, 204];
  const wood: Rgb = [112, 70, 44];
  box(ctx, paint([150, 84, 66]), 4.2, -18.4, 2.6, 5);
  box(ctx, paint(wall), -8, -9, 16, 9);
  box(ctx, paint(wall, 0.86), 4.2, -9, 3.8, 9);
  polygon(ctx, own(), [-10, -9, -6.8, -16.6, 6.8, -16.6, 10, -9]);
  polygon(ctx, own(0.8), [-10, -9, -9.4, -10.4, 9.4, -10.4, 10, -9]);
  box(ctx, paint(wood), -1.5, -6, 3.2, 6);
  for (const x of [-6.2, 3.4]) box(ctx, window, x, -6.4, 3, 3);
  if (!fine) return;
  // The chimney's cap, courses of tiles, crossbars of the windows, the door's knob and its step.
  box(ctx, paint([120, 66, 52]), 3.8, -18.9, 3.4, 0.9);
  for (const [y, half] of [
    [-14.6, 7.6],
    [-12.5, 8.5],
  ] as const) {
    line(ctx, own(0.86), 0.5, [-half, y, half, y]);
  }
  const bar = paint([250, 244, 232]);
  for (const x of [-4.7, 4.9]) {
    line(ctx, bar, 0.45, [x, -6.3, x, -3.5]);
    line(ctx, bar, 0.45, [x - 1.4, -4.9, x + 1.4, -4.9]);
  }
  disc(ctx, paint([232, 200, 110]), 1, -3, 0.35);
  box(ctx, paint([150, 142, 132]), -2.1, -0.5, 4.4, 0.7);
}

function drawTent(ctx: Canvas2D, { paint, own, window, night, fine }: Brush): void {
  line(ctx, paint([112, 84, 60]), 1, [0, -12.5, 0, -15.2]);
  polygon(ctx, own(), [-10.5, 0, 0, -13, 10.5, 0]);
  polygon(ctx, own(0.74), [0, -13, 10.5, 0, 4.6, 0]);
  polygon(ctx, night ? window : paint([52, 40, 50]), [-3.4, 0, 0, -7.8, 3.2, 0]);
  if (!fine) return;
  // A pennant, a seam, and the flap turned back.
  polygon(ctx, own(1.12), [0.3, -15.4, 3, -14.6, 0.3, -13.8]);
  line(ctx, own(0.84), 0.5, [-5.4, -0.4, -0.4, -12]);
  polygon(ctx, own(1.1), [-3.4, 0, 0, -7.8, -1.2, -2.2]);
}

function drawCastle(ctx: Canvas2D, { paint, window, fine }: Brush): void {
  const stone: Rgb = [172, 172, 184];
  const slate: Rgb = [84, 92, 130];
  box(ctx, paint(stone), -8, -11, 16, 11);
  for (const x of [-6.4, -2.6, 1.2, 5]) box(ctx, paint(stone), x, -12.9, 2, 2.2);
  box(ctx, paint(stone), -12.5, -16, 6, 16);
  box(ctx, paint(stone, SHADE), 6.5, -16, 6, 16);
  polygon(ctx, paint(slate), [-13.3, -16, -9.5, -23, -5.7, -16]);
  polygon(ctx, paint(slate, 0.84), [5.7, -16, 9.5, -23, 13.3, -16]);
  for (const x of [-9.5, 9.5]) box(ctx, window, x - 0.9, -13, 1.9, 3.2);
  ctx.fillStyle = paint([74, 50, 42]);
  ctx.beginPath();
  ctx.moveTo(-2.7, 0);
  ctx.lineTo(-2.7, -4);
  ctx.arc(0, -4, 2.7, Math.PI, 2 * Math.PI);
  ctx.lineTo(2.7, 0);
  ctx.closePath();
  ctx.fill();
  if (!fine) return;
  // The portcullis, a course of stones, and pennants on the cones.
  const iron = paint([42, 34, 36]);
  for (const x of [-1.3, 0, 1.3]) line(ctx, iron, 0.4, [x, -0.3, x, -5.8]);
  for (const y of [-4.4, -2.2]) line(ctx, iron, 0.4, [-2.4, y, 2.4, y]);
  const joint = paint(stone, 0.88);
  for (const [x, y] of [
    [-6, -8.6],
    [3.6, -8],
    [-5.4, -3],
    [4, -4.6],
    [-11.6, -5],
    [-10.4, -8.4],
    [8, -6.4],
    [9.4, -3],
  ] as const) {
    line(ctx, joint, 0.5, [x, y, x + 1.6, y]);
  }
  for (const x of [-9.5, 9.5]) polygon(ctx, paint([196, 60, 54]), [x, -25.4, x + 2.4, -24.5, x, -23.6]);
}

function drawWindmill(ctx: Canvas2D, { paint, window, random, fine }: Brush): void {
  const plaster: Rgb = [238, 228, 210];
  const wood: Rgb = [118, 72, 50];
  polygon(ctx, paint(plaster), [-5, 0, -3.2, -15, 3.2, -15, 5, 0]);
  polygon(ctx, paint(plaster, 0.82), [1.9, 0, 1.3, -15, 3.2, -15, 5, 0]);
  polygon(ctx, paint(wood), [-4, -14.6, -2.2, -18.4, 2.2, -18.4, 4, -14.6]);
  box(ctx, paint(wood, 0.85), -1.4, -4.6, 2.8, 4.6);
  box(ctx, window, -1.1, -10.2, 2.2, 2.6);
  const angle = random.uniform(0.35, 1.2);
  const sail = paint([250, 246, 238]);
  const arm = paint([150, 120, 96]);
  ctx.save();
  ctx.translate(0, -16);
  ctx.rotate(angle);
  for (let quarter = 0; quarter < 4; quarter++) {
    ctx.rotate(Math.PI / 2);
    polygon(ctx, sail, [2.4, -0.3, 11, -0.3, 11, 2.6, 2.4, 2.2]);
    line(ctx, arm, 0.8, [0, 0, 11, 0]);
    // The lattice of a sail.
    if (!fine) continue;
    line(ctx, arm, 0.4, [2.6, 1.2, 10.8, 1.3]);
    for (const x of [4.2, 6, 7.8, 9.6]) line(ctx, arm, 0.4, [x, 0, x, 2.4]);
  }
  ctx.restore();
  disc(ctx, paint(wood, 0.8), 0, -16, 1.4);
  if (!fine) return;
  // The gallery, and the door's frame.
  line(ctx, paint(wood, 0.9), 0.6, [-4.9, -7, 4.9, -7]);
  for (const x of [-4.4, -2.2, 0, 2.2, 4.4]) line(ctx, paint(wood, 0.9), 0.4, [x, -7, x, -8.2]);
  line(ctx, paint(plaster, 0.7), 0.5, [-1.6, 0, -1.6, -4.8, 1.6, -4.8, 1.6, 0]);
}

function drawLighthouse(ctx: Canvas2D, { paint, window, night, fine }: Brush): void {
  const bands = 5;
  const bandHeight = 3.7;
  const top = -bands * bandHeight;
  for (const reach of night ? [-66, 66] : []) {
    polygon(ctx, css([255, 236, 160], 62), [0, top - 1.9, reach, top - 15, reach, top + 10]);
  }
  ellipse(ctx, paint([104, 98, 100]), 0, 0.2, 8.4, 2.7);
  ellipse(ctx, paint([128, 122, 122]), -1.6, -0.6, 5.4, 1.6);
  const halfWidth = (y: number): number => 4.2 + (1.5 * y) / (bands * bandHeight);
  for (let band = 0; band < bands; band++) {
    const [low, high] = [-band * bandHeight, -(band + 1) * bandHeight];
    const [wide, narrow] = [halfWidth(low), halfWidth(high)];
    const color: Rgb = band % 2 === 0 ? [206, 52, 48] : [246, 242, 234];
    polygon(ctx, paint(color), [-wide, low, -narrow, high, narrow, high, wide, low]);
    polygon(ctx, paint(color, SHADE), [wide * 0.35, low, narrow * 0.35, high, narrow, high, wide, low]);
  }
  const iron = paint([62, 60, 76]);
  box(ctx, iron, -3.6, top - 0.5, 7.2, 1.1);
  box(ctx, window, -1.9, top - 3.6, 3.8, 3.1);
  polygon(ctx, iron, [-2.9, top - 3.5, 0, top - 6.8, 2.9, top - 3.5]);
  if (!fine) return;
  // The gallery's railing, the lantern's bars, two windows and the door.
  line(ctx, iron, 0.4, [-3.4, top - 1.9, 3.4, top - 1.9]);
  for (const x of [-3.3, -1.65, 1.65, 3.3]) line(ctx, iron, 0.4, [x, top - 0.5, x, top - 1.9]);
  for (const x of [-0.65, 0.65]) line(ctx, iron, 0.35, [x, top - 0.6, x, top - 3.5]);
  for (const y of [-14.2, -6.6]) box(ctx, iron, -1.6, y, 1.1, 1.7);
  box(ctx, paint([92, 60, 44]), -0.9, -2.4, 1.8, 2.4);
}

function drawSailboat(ctx: Canvas2D, { paint, own, fine }: Brush): void {
  const hull: Rgb = [134, 78, 48];
  polygon(ctx, paint(hull), [-10, -4.6, 10, -4.6, 7.2, 0, -7.8, 0]);
  polygon(ctx, paint([236, 228, 214]), [-10, -4.6, 10, -4.6, 9.2, -3.3, -9.3, -3.3]);
  polygon(ctx, own(), [0.9, -20.2, 9.4, -5.7, 0.9, -5.7]);
  polygon(ctx, own(SHADE), [-0.8, -18.6, -0.8, -5.7, -7.4, -5.7]);
  line(ctx, paint([96, 62, 42]), 1.1, [0, -4.8, 0, -21.4]);
  if (!fine) return;
  // Seams of the sails, planks of the hull, and a pennant.
  for (const [y, half] of [
    [-9.4, 6.9],
    [-13.2, 4.6],
  ] as const) {
    line(ctx, own(0.86), 0.45, [1.2, y, half, y]);
    line(ctx, own(SHADE * 0.88), 0.45, [-1.1, y, -half * 0.8, y]);
  }
  line(ctx, paint(hull, 0.8), 0.5, [-8.6, -2, 8.4, -2]);
  polygon(ctx, paint([206, 60, 54]), [0.3, -21.8, 3.2, -21, 0.3, -20.2]);
}

const DRAW: Record<Exclude<Landmark, 'none'>, (ctx: Canvas2D, brush: Brush) => void> = {
  cottage: drawCottage,
  tent: drawTent,
  castle: drawCastle,
  windmill: drawWindmill,
  lighthouse: drawLighthouse,
  sailboat: drawSailboat,
};

/** Paints the picture's object, if it has one. */
export function drawObject(ctx: Canvas2D, scene: Scene, random: Random): void {
  const { object, color, sky } = scene.attributes;
  if (object === 'none') return;
  const paint = (rgb: Rgb, shade = 1): string => css(lit(lit(rgb, scene.objectLight), shade));
  const brush: Brush = {
    paint,
    own: (shade = 1) => paint(color === 'none' ? [255, 255, 255] : PAINT[color], shade),
    window: scene.lampsOn ? css([255, 224, 110]) : paint([92, 128, 168]),
    night: sky === 'night',
    fine: scene.fine,
    random,
  };
  const { x, y, scale } = scene.object;
  at(ctx, x, y, scale, () => DRAW[object](ctx, brush));
}
