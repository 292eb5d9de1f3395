/** Pines, leafy trees and palms, each drawn around the foot of its trunk. */

import type { Terrain, Tree } from './attributes.ts';
import { at, box, type Canvas2D, css, disc, line, lit, polygon, type Rgb } from './canvas2d.ts';
import { SHADE } from './objects.ts';
import type { Random } from './random.ts';
import type { Scene } from './scene.ts';

type Paint = (color: Rgb, shade?: number) => string;

function drawPine(ctx: Canvas2D, paint: Paint, terrain: Terrain): void {
  const green: Rgb = [34, 104, 66];
  box(ctx, paint([104, 66, 44]), -1, -3, 2, 3);
  const tiers = [
    [5.2, -2.2, -8.6],
    [4.3, -6.2, -12.4],
    [3.2, -10.6, -16.6],
  ] as const;
  for (const [half, low, high] of tiers) {
    polygon(ctx, paint(green), [-half, low, 0, high, half, low]);
    polygon(ctx, paint(green, SHADE), [0, low, 0, high, half, low]);
    if (terrain !== 'snow') continue;
    const tip = 0.34;
    polygon(ctx, paint([240, 246, 252]), [
      -half * tip,
      high + (low - high) * tip,
      0,
      high,
      half * tip,
      high + (low - high) * tip,
    ]);
  }
}

function drawRound(ctx: Canvas2D, paint: Paint, terrain: Terrain): void {
  const [crown, light]: [Rgb, Rgb] =
    terrain === 'autumn'
      ? [
          [226, 108, 34],
          [246, 154, 54],
        ]
      : [
          [44, 132, 52],
          [92, 178, 74],
        ];
  box(ctx, paint([112, 70, 44]), -1.1, -7, 2.2, 7);
  disc(ctx, paint(crown, 0.82), 0.5, -9.9, 5.3);
  disc(ctx, paint(crown), -0.3, -10.4, 5);
  disc(ctx, paint(light), -1.5, -11.6, 2.7);
}

function drawPalm(ctx: Canvas2D, paint: Paint, lean: number): void {
  line(ctx, paint([134, 92, 56]), 1.7, [0, 0, lean * 0.5, -5, lean * 0.95, -9.6, lean * 1.9, -14]);
  const [x, y] = [lean * 1.9, -14];
  // Fronds: out, and bent down by their own weight; the lower ones darker and painted first.
  const fronds = [
    [5.6, 2.6, 0.78],
    [-5.6, 2.6, 0.78],
    [5.9, -0.6, 1],
    [-5.9, -0.6, 0.94],
    [2.6, -3.4, 1.12],
    [-2.6, -3.4, 1.06],
  ] as const;
  for (const [dx, dy, shade] of fronds) {
    const fill = paint([46, 142, 72], shade);
    const middle = [x + dx * 0.55, y + dy * 0.5 - 1.5] as const;
    polygon(ctx, fill, [x, y, ...middle, x + dx, y + dy + 1.2, x + dx * 0.5, y + dy * 0.5 + 0.5]);
  }
}

const DRAW: Record<
  Exclude<Tree, 'none'>,
  (ctx: Canvas2D, paint: Paint, terrain: Terrain, lean: number) => void
> = {
  pine: drawPine,
  round: drawRound,
  palm: (ctx, paint, _terrain, lean) => drawPalm(ctx, paint, lean),
};

/** Paints the trees from back to front. */
export function drawTrees(ctx: Canvas2D, scene: Scene, random: Random): void {
  const { tree, terrain } = scene.attributes;
  if (tree === 'none') return;
  const paint: Paint = (color, shade = 1) => css(lit(lit(color, scene.objectLight), shade));
  for (const { x, y, scale } of scene.trees) {
    const lean = random.uniform(0.5, 1.2) * (random.chance(0.5) ? 1 : -1);
    at(ctx, x, y, scale, () => DRAW[tree](ctx, paint, terrain, lean));
  }
}
