/**
 * Where things are in a picture: horizon, ground, and the place of everything that must not collide. Sampled
 * before anything is drawn, since the sky must know where the balloon will be and a tree where the ground is.
 * Coordinates are those of a picture 64 wide and 64 high, however many pixels it is drawn with; origin at the top left,
 * y downwards.
 */

import type { Position, PostcardAttributes, Sky } from './attributes.ts';
import type { Rgb } from './canvas2d.ts';
import type { Random } from './random.ts';

/** Units across and down a picture. */
export const EXTENT = 64;

/** Pixels along a side from which on a picture shows details that would be blots in a smaller one. */
export const FINE_SIZE = 128;

export interface Point {
  x: number;
  y: number;
}

export interface Placed extends Point {
  scale: number;
}

/** The height y of a ground layer's upper edge at x. */
export type Ridge = (x: number) => number;

export interface Scene {
  attributes: PostcardAttributes;
  horizon: number;
  /** The light on the ground and on everything that stands or flies, per channel. */
  groundLight: Rgb;
  objectLight: Rgb;
  /** One small brightness offset for all of the ground. */
  groundJitter: number;
  /** Lamps are on at night and at sunset. */
  lampsOn: boolean;
  far: Ridge;
  near: Ridge;
  body: Point;
  /** The balloon or the middle of the flock. */
  flying: Point;
  clouds: readonly Point[];
  object: Placed;
  /** From back to front. */
  trees: readonly Placed[];
  /** Whether there are pixels enough for details. They take no random numbers, so that a size moves nothing. */
  fine: boolean;
}

const GROUND_LIGHT: Record<Sky, Rgb> = {
  day: [1, 1, 1],
  sunset: [0.88, 0.68, 0.62],
  night: [0.44, 0.5, 0.74],
  overcast: [0.8, 0.83, 0.85],
};

const OBJECT_LIGHT: Record<Sky, Rgb> = {
  day: [1, 1, 1],
  sunset: [0.98, 0.9, 0.84],
  night: [0.82, 0.84, 0.96],
  overcast: [0.9, 0.92, 0.93],
};

const CLOUD_COUNTS: Record<Sky, readonly number[]> = {
  day: [0, 1, 2],
  sunset: [0, 0, 1],
  night: [0, 0, 1],
  overcast: [2, 3],
};

/** Base and amplitude of the far and the near ground layer; base is measured down from the horizon. */
const RIDGES = {
  hills: { far: [0, 3], near: [8, 2.4] },
  autumn: { far: [0, 3], near: [8, 2.4] },
  snow: { far: [0, 3], near: [8, 2.4] },
  desert: { far: [1, 3], near: [9, 3.4] },
  mountains: { far: [0, 0], near: [7, 2] },
  sea: { far: [1, 0], near: [17, 1.6] },
} as const;

/** Centres from which the position is recognisable: the ranges stay 11 px apart. */
const OBJECT_X: Record<Position, readonly [number, number]> = {
  left: [13, 17],
  middle: [30, 34],
  right: [47, 51],
};

/** A smooth edge of the ground: the sum of two sines, within ±amplitude of the base. */
function ridge(base: number, amplitude: number, random: Random): Ridge {
  const wave = (low: number, high: number, share: number): Ridge => {
    const frequency = (2 * Math.PI) / random.uniform(low, high);
    const phase = random.uniform(0, 2 * Math.PI);
    return (x) => share * amplitude * Math.sin(x * frequency + phase);
  };
  const long = wave(60, 95, 0.68);
  const short = wave(28, 44, 0.32);
  return (x) => base + long(x) + short(x);
}

/** The x of up to three trees such that they stand beside the object and apart from each other. */
function treeSlots(position: Position | 'none', random: Random): number[] {
  switch (position) {
    case 'none':
      return [random.uniform(8, 14), random.uniform(26, 38), random.uniform(50, 56)];
    case 'left':
      return [33, 44.5, 56];
    case 'right':
      return [8, 19.5, 31];
    case 'middle':
      return random.chance(0.5) ? [6, 16.5, 54.5] : [9.5, 47.5, 58];
  }
}

function placeClouds(count: number, keepClear: readonly Point[], random: Random): Point[] {
  const clouds: Point[] = [];
  for (let attempt = 0; attempt < 12 * count && clouds.length < count; attempt++) {
    const cloud = { x: random.uniform(2, 62), y: random.uniform(6, 20) };
    const clear = keepClear.every(({ x }) => Math.abs(x - cloud.x) >= 14);
    const apart = clouds.every(({ x, y }) => Math.abs(x - cloud.x) >= 17 || Math.abs(y - cloud.y) >= 7);
    if (clear && apart) clouds.push(cloud);
  }
  return clouds;
}

function placeBody({ sky, body, side, terrain }: PostcardAttributes, horizon: number, random: Random): Point {
  const x = side === 'left' ? random.uniform(8, 19) : random.uniform(45, 56);
  if (sky !== 'sunset' || body !== 'sun') return { x, y: random.uniform(8.5, 14) };
  // A low sun, but above the peaks where there are any.
  const low = terrain === 'mountains' ? random.uniform(9, 14) : random.uniform(horizon - 14, horizon - 8);
  return { x, y: low };
}

/** Samples the scene of a picture of `size`×`size` pixels. */
export function composeScene(attributes: PostcardAttributes, random: Random, size: number = EXTENT): Scene {
  const { sky, side, terrain, object: landmark, position, count, extra } = attributes;
  const horizon = random.uniform(36, 40);
  const { far: farShape, near: nearShape } = RIDGES[terrain];
  const far = ridge(horizon + farShape[0], farShape[1], random);
  const near = ridge(horizon + nearShape[0], nearShape[1], random);

  const body = placeBody(attributes, horizon, random);
  // What flies keeps to the half of the sky that the sun or moon leaves free.
  const flyingX = side === 'left' ? random.uniform(40, 53) : random.uniform(11, 24);
  const flying = { x: flyingX, y: random.uniform(9, 13) };
  const keepClear: Point[] = [];
  if (attributes.body !== 'none') keepClear.push(body);
  if (extra === 'balloon' || extra === 'birds') keepClear.push(flying);
  const clouds = placeClouds(random.pick(CLOUD_COUNTS[sky]), keepClear, random);

  const inward = landmark === 'castle' ? { none: 0, left: 2, middle: 0, right: -2 }[position] : 0;
  const [lowX, highX] = position === 'none' ? [32, 32] : OBJECT_X[position];
  const x = random.uniform(lowX, highX) + inward;
  const scale = random.uniform(0.95, 1.08);
  const y =
    landmark === 'sailboat'
      ? horizon + 1 + random.uniform(9, 12)
      : Math.min(near(x) + random.uniform(3, 6), EXTENT - 4);

  const trees = random
    .shuffle(treeSlots(position, random))
    .slice(0, count)
    .map((slot): Placed => {
      const treeX = slot + random.uniform(-1.2, 1.2);
      const treeY = Math.min(near(treeX) + random.uniform(1.5, 5.5), EXTENT - 2);
      return { x: treeX, y: treeY, scale: random.uniform(0.9, 1.1) };
    })
    .sort((a, b) => a.y - b.y);

  return {
    attributes,
    horizon,
    groundLight: GROUND_LIGHT[sky],
    objectLight: OBJECT_LIGHT[sky],
    groundJitter: random.uniform(-8, 8),
    lampsOn: sky === 'night' || sky === 'sunset',
    far,
    near,
    body,
    flying,
    clouds,
    object: { x, y, scale },
    trees,
    fine: size >= FINE_SIZE,
  };
}
