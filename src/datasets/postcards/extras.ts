/** What flies: a hot-air balloon or a flock of birds. (The rainbow belongs to the sky.) */

import { box, type Canvas2D, css, disc, ellipse, line, lit, polygon, type Rgb } from './canvas2d.ts';
import { PAINT } from './objects.ts';
import type { Random } from './random.ts';
import type { Scene } from './scene.ts';

function drawBalloon(ctx: Canvas2D, { attributes, flying: { x, y }, objectLight, fine }: Scene): void {
  if (attributes.balloonColor === 'none') return;
  const color = PAINT[attributes.balloonColor];
  const paint = (rgb: Rgb, alpha = 255): string => css(lit(rgb, objectLight), alpha);
  const rope = paint([120, 92, 70], 200);
  line(ctx, rope, 0.6, [x - 1.6, y + 9, x - 1.4, y + 11]);
  line(ctx, rope, 0.6, [x + 1.6, y + 9, x + 1.4, y + 11]);
  disc(ctx, paint(color), x, y, 6.2);
  polygon(ctx, paint(color), [x - 5.7, y + 2.5, x + 5.7, y + 2.5, x + 2, y + 9.3, x - 2, y + 9.3]);
  ellipse(ctx, paint([255, 246, 230], 205), x, y + 1.2, 2.2, 7.2);
  box(ctx, paint([138, 88, 50]), x - 2, y + 10.8, 4, 2.8);
  if (!fine) return;
  // The rim and the weave of the basket.
  line(ctx, paint([98, 60, 36]), 0.5, [x - 2, y + 11, x + 2, y + 11]);
  line(ctx, paint([112, 72, 42]), 0.4, [x - 1.8, y + 12.3, x + 1.8, y + 12.3]);
}

function drawBirds(ctx: Canvas2D, { flying }: Scene, random: Random): void {
  const flock = [
    [0, -2],
    [-5.6, 1.4],
    [5.8, 1.2],
    [0.4, 4.8],
  ] as const;
  for (const [dx, dy] of flock.slice(0, 3 + random.integer(2))) {
    const x = flying.x + dx + random.uniform(-0.6, 0.6);
    const y = flying.y + dy + random.uniform(-0.5, 0.5);
    const [span, lift] = [random.uniform(2.5, 3), random.uniform(1.5, 1.9)];
    line(ctx, css([38, 40, 58]), 1.4, [x - span, y - lift, x, y, x + span, y - lift]);
  }
}

/** Paints the balloon or the birds, if the picture has them. */
export function drawExtra(ctx: Canvas2D, scene: Scene, random: Random): void {
  if (scene.attributes.extra === 'balloon') drawBalloon(ctx, scene);
  if (scene.attributes.extra === 'birds') drawBirds(ctx, scene, random);
}
