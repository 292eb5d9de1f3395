/**
 * What a postcard shows: ten attributes with their priors, and the combinations that training never sees.
 *
 * Every attribute is always there; `'none'` (0 trees) stands for absence, so that a record can be compared with
 * another, or scored, without special cases.
 */

import type { Random } from './random.ts';

export const SKIES = ['day', 'sunset', 'night', 'overcast'] as const;
export const BODIES = ['none', 'sun', 'full_moon', 'crescent'] as const;
export const SIDES = ['left', 'right'] as const;
export const TERRAINS = ['hills', 'autumn', 'snow', 'desert', 'mountains', 'sea'] as const;
export const OBJECTS = ['none', 'cottage', 'tent', 'castle', 'windmill', 'lighthouse', 'sailboat'] as const;
export const COLORS = ['red', 'yellow', 'blue', 'purple'] as const;
export const POSITIONS = ['left', 'middle', 'right'] as const;
export const TREES = ['none', 'pine', 'round', 'palm'] as const;
export const COUNTS = [0, 1, 2, 3] as const;
export const EXTRAS = ['none', 'balloon', 'rainbow', 'birds'] as const;

export type Sky = (typeof SKIES)[number];
export type Body = (typeof BODIES)[number];
export type Side = (typeof SIDES)[number];
export type Terrain = (typeof TERRAINS)[number];
export type Landmark = (typeof OBJECTS)[number];
export type Color = (typeof COLORS)[number];
export type Position = (typeof POSITIONS)[number];
export type Tree = (typeof TREES)[number];
export type TreeCount = (typeof COUNTS)[number];
export type Extra = (typeof EXTRAS)[number];

export interface PostcardAttributes {
  sky: Sky;
  /** What hangs in the sky: the sun by day and at sunset, a moon at night. */
  body: Body;
  /** The half of the sky that `body` is in. Captions never name it. */
  side: Side;
  terrain: Terrain;
  object: Landmark;
  /** Of the cottage's roof, the tent or the sail; the other objects have no colour of their own. */
  color: Color | 'none';
  position: Position | 'none';
  tree: Tree;
  count: TreeCount;
  extra: Extra;
  balloonColor: Color | 'none';
}

type Table<T> = readonly (readonly [T, number])[];

const BODY_PRIOR: Record<Sky, Table<Body>> = {
  day: [
    ['sun', 2],
    ['none', 1],
  ],
  sunset: [
    ['sun', 2],
    ['none', 1],
  ],
  night: [
    ['full_moon', 2],
    ['crescent', 2],
    ['none', 1],
  ],
  overcast: [['none', 1]],
};

const INLAND: Table<Landmark> = [
  ['none', 1.2],
  ['cottage', 3],
  ['tent', 2],
  ['castle', 2],
  ['windmill', 2],
];

const OBJECT_PRIOR: Record<Terrain, Table<Landmark>> = {
  hills: INLAND,
  autumn: INLAND,
  snow: INLAND,
  mountains: INLAND,
  desert: [
    ['none', 2],
    ['tent', 3],
    ['castle', 2],
    ['cottage', 1],
  ],
  sea: [
    ['none', 1],
    ['sailboat', 5],
    ['lighthouse', 3],
  ],
};

const TREE_PRIOR: Record<Terrain, Table<Tree>> = {
  hills: [
    ['none', 1],
    ['pine', 1],
    ['round', 1],
  ],
  autumn: [
    ['none', 1],
    ['round', 2],
    ['pine', 1],
  ],
  snow: [
    ['none', 1],
    ['pine', 2],
  ],
  mountains: [
    ['none', 1],
    ['pine', 2],
    ['round', 1],
  ],
  desert: [
    ['none', 1],
    ['palm', 1],
  ],
  sea: [
    ['none', 1],
    ['palm', 1],
  ],
};

const EXTRA_PRIOR: Record<Sky, Table<Extra>> = {
  day: [
    ['none', 4],
    ['balloon', 3],
    ['rainbow', 2],
    ['birds', 2],
  ],
  overcast: [
    ['none', 4],
    ['balloon', 3],
    ['rainbow', 2],
    ['birds', 2],
  ],
  sunset: [
    ['none', 4],
    ['balloon', 3],
    ['birds', 2],
  ],
  night: [
    ['none', 4],
    ['balloon', 3],
  ],
};

/** Objects that are drawn, and captioned, in one of the four colours. */
export function hasColor(object: Landmark): boolean {
  return object === 'cottage' || object === 'tent' || object === 'sailboat';
}

/** Draws every attribute from its prior, held-out combinations included. */
export function sampleAttributes(random: Random): PostcardAttributes {
  const sky = random.pick(SKIES);
  const body = random.weighted(BODY_PRIOR[sky]);
  const side = random.pick(SIDES);
  const terrain = random.pick(TERRAINS);
  const object = random.weighted(OBJECT_PRIOR[terrain]);
  const color = hasColor(object) ? random.pick(COLORS) : 'none';
  const position = object === 'none' ? 'none' : random.pick(POSITIONS);
  const tree = random.weighted(TREE_PRIOR[terrain]);
  const count = tree === 'none' ? 0 : random.pick([1, 2, 3] as const);
  const extra = random.weighted(EXTRA_PRIOR[sky]);
  const balloonColor = extra === 'balloon' ? random.pick(COLORS) : 'none';
  return { sky, body, side, terrain, object, color, position, tree, count, extra, balloonColor };
}

/**
 * Combinations that training never shows, each of parts that it shows often: a model that draws them has learned
 * to compose and not to remember. About 14% of all draws.
 */
export const HELD_OUT: readonly { name: string; attributes: Partial<PostcardAttributes> }[] = [
  { name: 'a castle at night', attributes: { object: 'castle', sky: 'night' } },
  { name: 'a windmill in the snow', attributes: { object: 'windmill', terrain: 'snow' } },
  {
    name: 'a blue-roofed cottage in autumn',
    attributes: { object: 'cottage', color: 'blue', terrain: 'autumn' },
  },
  { name: 'a red tent in the desert', attributes: { object: 'tent', color: 'red', terrain: 'desert' } },
  { name: 'a yellow sail at sunset', attributes: { object: 'sailboat', color: 'yellow', sky: 'sunset' } },
  { name: 'a purple balloon over mountains', attributes: { balloonColor: 'purple', terrain: 'mountains' } },
  { name: 'a lighthouse at sunset', attributes: { object: 'lighthouse', sky: 'sunset' } },
];

/** True when the attributes contain at least one of the held-out combinations. */
export function isHeldOut(attributes: PostcardAttributes): boolean {
  return HELD_OUT.some((combination) =>
    Object.entries(combination.attributes).every(
      ([name, value]) => attributes[name as keyof PostcardAttributes] === value,
    ),
  );
}
