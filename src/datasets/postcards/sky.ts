/** The upper half of a postcard: the sky's gradient, stars, sun and moons, the rainbow and the clouds. */

import type { Sky } from './attributes.ts';
import { blend, type Canvas2D, css, disc, type Rgb, verticalGradient } from './canvas2d.ts';
import type { Random } from './random.ts';
import { EXTENT, type Point, type Scene } from './scene.ts';

/** From the top of the picture to just below the horizon. */
export const SKY_COLORS: Record<Sky, readonly Rgb[]> = {
  day: [
    [58, 132, 222],
    [176, 220, 248],
  ],
  sunset: [
    [84, 58, 132],
    [236, 106, 92],
    [255, 204, 112],
  ],
  night: [
    [8, 12, 42],
    [48, 60, 118],
  ],
  overcast: [
    [120, 130, 146],
    [204, 208, 210],
  ],
};

const CLOUD_COLORS: Record<Sky, readonly Rgb[]> = {
  day: [[252, 253, 255]],
  sunset: [[250, 170, 140]],
  night: [[60, 70, 112]],
  overcast: [
    [168, 174, 184],
    [222, 225, 228],
  ],
};

/** From the outside in. */
const RAINBOW: readonly Rgb[] = [
  [226, 70, 66],
  [242, 148, 58],
  [248, 220, 84],
  [98, 192, 104],
  [72, 132, 222],
  [148, 88, 198],
];

function drawGradient(ctx: Canvas2D, { attributes, horizon }: Scene, random: Random): void {
  const jitter = random.uniform(-7, 7);
  const colors = SKY_COLORS[attributes.sky].map(([r, g, b]): Rgb => [r + jitter, g + jitter, b + jitter]);
  ctx.fillStyle = verticalGradient(ctx, 0, horizon + 2, colors);
  ctx.fillRect(0, 0, EXTENT, EXTENT);
}

/** Stars that a picture with pixels for details shows: fewer and a little larger. */
const FINE_STARS = 10;

function drawStars(ctx: Canvas2D, { attributes, horizon, body, fine }: Scene, random: Random): void {
  const stars: Point[] = [];
  const count = 12 + random.integer(9);
  for (let attempt = 0; attempt < 3 * count && stars.length < count; attempt++) {
    const star = { x: random.uniform(1, EXTENT - 1), y: random.uniform(1, horizon - 6) };
    const farFrom = (other: Point, distance: number): boolean =>
      Math.hypot(star.x - other.x, star.y - other.y) >= distance;
    if (attributes.body !== 'none' && !farFrom(body, 9)) continue;
    if (stars.every((other) => farFrom(other, 4))) stars.push(star);
  }
  for (const [i, { x, y }] of stars.entries()) {
    const alpha = random.uniform(150, 255);
    const radius = random.uniform(0.8, 1.05);
    if (fine && i >= FINE_STARS) continue;
    disc(ctx, css([255, 250, 225], alpha), x, y, fine ? 1.1 * radius : radius);
  }
}

function drawSun(ctx: Canvas2D, { attributes, body: { x, y } }: Scene): void {
  if (attributes.sky === 'sunset') {
    disc(ctx, css([255, 226, 150], 80), x, y, 10.5);
    disc(ctx, css([255, 236, 150]), x, y, 6.6);
    return;
  }
  disc(ctx, css([255, 244, 170], 70), x, y, 9);
  disc(ctx, css([255, 240, 140], 110), x, y, 7);
  disc(ctx, css([255, 226, 70]), x, y, 5.2);
}

function drawFullMoon(ctx: Canvas2D, { body: { x, y } }: Scene): void {
  disc(ctx, css([246, 242, 218], 38), x, y, 8.4);
  disc(ctx, css([246, 242, 218]), x, y, 5.6);
  const crater = css([214, 208, 184]);
  disc(ctx, crater, x - 1.8, y - 1.6, 1.2);
  disc(ctx, crater, x + 2.1, y + 0.6, 1.4);
  disc(ctx, crater, x - 1, y + 2.6, 0.9);
}

/** A disc of radius 6 less a disc of radius 5.1 whose centre is 3 to the right. */
function drawCrescent(ctx: Canvas2D, { body: { x, y } }: Scene): void {
  const [outer, inner, shift] = [6, 5.1, 3];
  const tipX = (outer ** 2 - inner ** 2 + shift ** 2) / (2 * shift);
  const tipY = Math.sqrt(outer ** 2 - tipX ** 2);
  const outerAngle = Math.atan2(tipY, tipX);
  const innerAngle = Math.atan2(tipY, tipX - shift);
  ctx.fillStyle = css([250, 240, 195]);
  ctx.beginPath();
  ctx.arc(x, y, outer, outerAngle, 2 * Math.PI - outerAngle);
  ctx.arc(x + shift, y, inner, -innerAngle, innerAngle, true);
  ctx.closePath();
  ctx.fill();
}

function drawRainbow(ctx: Canvas2D, { horizon }: Scene, random: Random): void {
  const [x, y] = [random.uniform(26, 38), horizon + 3];
  const radius = random.uniform(25, 28);
  ctx.lineWidth = 1.3;
  ctx.lineCap = 'butt';
  for (const [i, color] of RAINBOW.entries()) {
    ctx.strokeStyle = css(color, 190);
    ctx.beginPath();
    ctx.arc(x, y, radius - 1.25 * i, Math.PI, 2 * Math.PI);
    ctx.stroke();
  }
}

/** Four discs on one base line, painted as one shape so that their overlaps do not show. */
function drawCloud(ctx: Canvas2D, { x, y }: Point, color: Rgb, random: Random): void {
  const size = random.uniform(0.88, 1.12);
  const mirror = random.chance(0.5) ? 1 : -1;
  const discs = [
    [-4.6, 0.8, 2.1],
    [-1.7, -0.6, 3.2],
    [2, -0.1, 2.8],
    [4.8, 0.9, 2],
  ] as const;
  ctx.fillStyle = css(color, 235);
  ctx.beginPath();
  for (const [dx, dy, radius] of discs) {
    const centre = x + mirror * dx * size;
    ctx.moveTo(centre + radius * size, y + dy * size);
    ctx.arc(centre, y + dy * size, radius * size, 0, 2 * Math.PI);
  }
  ctx.fill();
}

/** The colour of the sky just above the horizon, into which distant ground fades. */
export function hazeColor(sky: Sky): Rgb {
  return SKY_COLORS[sky].at(-1)!;
}

/** Paints everything that is behind the ground. */
export function drawSky(ctx: Canvas2D, scene: Scene, random: Random): void {
  const { sky, body, extra } = scene.attributes;
  drawGradient(ctx, scene, random);
  if (sky === 'night') drawStars(ctx, scene, random);
  if (body === 'sun') drawSun(ctx, scene);
  if (body === 'full_moon') drawFullMoon(ctx, scene);
  if (body === 'crescent') drawCrescent(ctx, scene);
  if (extra === 'rainbow') drawRainbow(ctx, scene, random);
  for (const cloud of scene.clouds) {
    const color = blend(random.pick(CLOUD_COLORS[sky]), SKY_COLORS[sky][0]!, random.uniform(0, 0.08));
    drawCloud(ctx, cloud, color, random);
  }
}
