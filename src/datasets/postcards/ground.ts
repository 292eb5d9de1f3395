/** The lower half of a postcard: hills, dunes, mountains with a meadow, or the sea with its beach. */

import { blend, type Canvas2D, css, line, lit, polygon, type Rgb, verticalGradient } from './canvas2d.ts';
import type { Random } from './random.ts';
import { EXTENT, type Ridge, type Scene } from './scene.ts';
import { hazeColor, SKY_COLORS } from './sky.ts';

/** Colours of the far layer and of the near layer's top and bottom. */
const ROLLING = {
  hills: { far: [132, 186, 92], mid: [100, 168, 70], near: [58, 124, 50] },
  autumn: { far: [214, 160, 80], mid: [206, 130, 52], near: [150, 82, 36] },
  snow: { far: [206, 220, 238], mid: [246, 249, 253], near: [196, 212, 234] },
} as const satisfies Record<string, Record<string, Rgb>>;

/** A colour of the ground in this picture's light. */
function groundColor({ groundLight, groundJitter }: Scene, color: Rgb): Rgb {
  const [r, g, b] = lit(color, groundLight);
  return [r + groundJitter, g + groundJitter, b + groundJitter];
}

/** Distant ground takes some of the sky's colour. */
function hazy(scene: Scene, color: Rgb, amount: number): Rgb {
  return blend(groundColor(scene, color), hazeColor(scene.attributes.sky), amount);
}

/** The ridge as points (x, y, x, y, …) from beyond the left edge to beyond the right one. */
function outline(ridge: Ridge): number[] {
  const points: number[] = [];
  // Steps of 4 px stay within 0.2 px of the curve.
  for (let x = -4; x <= EXTENT + 4; x += 4) points.push(x, ridge(x));
  return points;
}

/** Fills everything below the ridge with a gradient from `top` to the lower edge. */
function fillBelow(ctx: Canvas2D, ridge: Ridge, top: number, colors: readonly [Rgb, Rgb]): void {
  const points = [...outline(ridge), EXTENT + 4, EXTENT, -4, EXTENT];
  polygon(ctx, verticalGradient(ctx, top, EXTENT, colors), points);
}

function drawRolling(ctx: Canvas2D, scene: Scene, terrain: keyof typeof ROLLING): void {
  const { far, mid, near } = ROLLING[terrain];
  const { horizon } = scene;
  fillBelow(ctx, scene.far, horizon - 3, [hazy(scene, far, 0.22), hazy(scene, blend(far, mid, 0.5), 0.1)]);
  fillBelow(ctx, scene.near, horizon + 6, [groundColor(scene, mid), groundColor(scene, near)]);
}

function drawDesert(ctx: Canvas2D, scene: Scene, random: Random): void {
  const { horizon, near } = scene;
  const layer = (top: Rgb, bottom: Rgb): [Rgb, Rgb] => [groundColor(scene, top), groundColor(scene, bottom)];
  fillBelow(ctx, scene.far, horizon - 2, layer([226, 182, 118], [214, 160, 92]));
  fillBelow(ctx, near, horizon + 6, layer([242, 204, 134], [204, 148, 82]));
  // One dune's flank in the shade, from its crest to the picture's lower edge.
  const crest = random.uniform(10, 54);
  const flank = css(groundColor(scene, [196, 142, 84]), 120);
  const foot = random.uniform(10, 15);
  polygon(ctx, flank, [crest, near(crest), crest + foot + 6, EXTENT, crest - foot + 2, EXTENT]);
}

/** A peak: rock, its right side in the shade, a zigzag cap of snow on the top 36%. */
function drawPeak(ctx: Canvas2D, scene: Scene, x: number, top: number, random: Random): void {
  const base = scene.horizon + 11;
  const height = base - top;
  const half = height * random.uniform(0.62, 0.78);
  const rock = (color: Rgb): string => css(hazy(scene, color, 0.08));
  polygon(ctx, rock([112, 122, 146]), [x - half, base, x, top, x + half, base]);
  polygon(ctx, rock([84, 94, 120]), [x, top, x + half, base, x + half * 0.1, base]);
  // Points on the slopes at a share of the height, and the zigzag between them.
  const point = (share: number, across: number): [number, number] => [
    x + across * share * half,
    top + share * height,
  ];
  const left = [...point(0.36, -1), ...point(0.27, -0.62), ...point(0.38, -0.3), ...point(0.28, 0.05)];
  const right = [...point(0.28, 0.05), ...point(0.39, 0.3), ...point(0.28, 0.62), ...point(0.36, 1)];
  polygon(ctx, rock([240, 244, 250]), [x, top, ...left]);
  polygon(ctx, rock([206, 216, 234]), [x, top, ...right]);
}

function drawMountains(ctx: Canvas2D, scene: Scene, random: Random): void {
  const peaks = [10, 32, 54].map((x) => ({ x: x + random.uniform(-6, 6), top: random.uniform(12, 26) }));
  // The highest stand behind.
  for (const { x, top } of peaks.sort((a, b) => a.top - b.top)) drawPeak(ctx, scene, x, top, random);
  const meadow = [groundColor(scene, [112, 168, 84]), groundColor(scene, [58, 118, 58])] as const;
  fillBelow(ctx, scene.near, scene.horizon + 5, meadow);
}

function drawSea(ctx: Canvas2D, scene: Scene, random: Random): void {
  const { horizon, near } = scene;
  // Far water mirrors the second colour of the sky: its low part, but at sunset the red above the yellow.
  const mirrored = SKY_COLORS[scene.attributes.sky][1]!;
  const farWater = blend(groundColor(scene, [40, 120, 190]), mirrored, 0.35);
  const water = [farWater, groundColor(scene, [28, 98, 172])] as const;
  ctx.fillStyle = verticalGradient(ctx, horizon + 1, horizon + 18, water);
  ctx.fillRect(0, horizon + 1, EXTENT, EXTENT);
  const glint = css(blend(groundColor(scene, [214, 234, 248]), hazeColor(scene.attributes.sky), 0.5), 130);
  for (let dashes = 4 + random.integer(4); dashes > 0; dashes--) {
    const [x, y, length] = [
      random.uniform(2, 58),
      random.uniform(horizon + 3, horizon + 14),
      random.uniform(3, 6),
    ];
    line(ctx, glint, 0.9, [x, y, x + length, y]);
  }
  const beach = [groundColor(scene, [240, 214, 152]), groundColor(scene, [214, 176, 110])] as const;
  fillBelow(ctx, near, horizon + 15, beach);
  line(ctx, css(groundColor(scene, [248, 252, 255]), 220), 1.1, outline(near));
}

/** Paints the terrain over the sky. */
export function drawGround(ctx: Canvas2D, scene: Scene, random: Random): void {
  const { terrain } = scene.attributes;
  if (terrain === 'desert') drawDesert(ctx, scene, random);
  else if (terrain === 'mountains') drawMountains(ctx, scene, random);
  else if (terrain === 'sea') drawSea(ctx, scene, random);
  else drawRolling(ctx, scene, terrain);
}
