/**
 * The grammar of captions: 4 to 35 words that name the object with its colour, the trees with their count, the
 * extra, terrain and sky; the position and the sun or moon only sometimes.
 */

import type { PostcardAttributes, Sky, Terrain } from './attributes.ts';
import type { Random } from './random.ts';

export interface CaptionOptions {
  /** How often the caption says left, right or middle when there is an object. Default 0.5. */
  positionProbability?: number;
}

/** What the caption chose to say; everything else that is present is always said. */
export interface Named {
  position: boolean;
  body: boolean;
}

export const MAX_CAPTION_WORDS = 35;
const BODY_PROBABILITY = 0.7;
const PREFIX_PROBABILITY = 0.15;

const PREFIXES = ['a postcard of', 'a picture of', 'a small painting of'];

const ON_TERRAIN: Record<Terrain, readonly string[]> = {
  hills: ['on green hills', 'in a green meadow', 'in the green hills'],
  autumn: ['on autumn hills', 'in an autumn landscape', 'in autumn'],
  snow: ['on snowy hills', 'in a snowy field', 'in the snow'],
  desert: ['in the desert', 'among desert dunes', 'in the sandy desert'],
  mountains: ['in front of snowy mountains', 'in the mountains', 'below snow-capped mountains'],
  sea: ['by the sea', 'on the beach', 'at the seaside'],
};

const TERRAIN: Record<Terrain, readonly string[]> = {
  hills: ['green hills', 'a green meadow', 'rolling green hills'],
  autumn: ['autumn hills', 'an autumn landscape'],
  snow: ['snowy hills', 'a snowy landscape', 'a snowy field'],
  desert: ['desert dunes', 'a sandy desert', 'a desert'],
  mountains: ['snowy mountains', 'snow-capped mountains', 'a mountain landscape'],
  sea: ['a beach', 'the sea', 'a sandy beach by the sea'],
};

const UNDER_SKY: Record<Sky, readonly string[]> = {
  day: ['by day', 'on a clear day', 'under a blue sky', 'in the daytime'],
  sunset: ['at sunset', 'in the evening glow', 'under a sunset sky'],
  night: ['at night', 'on a starry night', 'under the stars'],
  overcast: ['on a cloudy day', 'under a grey sky', 'on an overcast day'],
};

const TREE_NOUN = { pine: 'pine', round: 'leafy', palm: 'palm' } as const;
const POSITION_PHRASE = { left: 'on the left', middle: 'in the middle', right: 'on the right' } as const;

function objectPhrase(attributes: PostcardAttributes, namePosition: boolean, random: Random): string | null {
  const { object, color, position } = attributes;
  if (object === 'none') return null;
  const phrases = {
    cottage: [
      `a ${color}-roofed cottage`,
      `a cottage with a ${color} roof`,
      `a little house with a ${color} roof`,
    ],
    tent: [`a ${color} tent`],
    castle: ['a castle', 'a stone castle', 'an old castle'],
    windmill: ['a windmill', 'an old windmill'],
    lighthouse: ['a lighthouse', 'a striped lighthouse'],
    sailboat: [`a sailboat with a ${color} sail`, `a boat with a ${color} sail`, `a ${color} sailboat`],
  };
  const phrase = random.pick(phrases[object]);
  return namePosition && position !== 'none' ? `${phrase} ${POSITION_PHRASE[position]}` : phrase;
}

function treePhrase({ tree, count }: PostcardAttributes, random: Random): string | null {
  if (tree === 'none') return null;
  if (count === 1) return `${random.pick(['a', 'one'])} ${TREE_NOUN[tree]} tree`;
  return `${count === 2 ? 'two' : 'three'} ${TREE_NOUN[tree]} trees`;
}

function extraPhrase({ extra, balloonColor }: PostcardAttributes, random: Random): string | null {
  switch (extra) {
    case 'none':
      return null;
    case 'balloon':
      return `a ${balloonColor} hot-air balloon${random.pick(['', ' in the sky'])}`;
    case 'rainbow':
      return 'a rainbow';
    case 'birds':
      return random.pick(['birds in the sky', 'flying birds']);
  }
}

function bodyPhrase({ body }: PostcardAttributes, random: Random): string | null {
  switch (body) {
    case 'none':
      return null;
    case 'sun':
      return random.pick(['the sun', 'a bright sun']);
    case 'full_moon':
      return 'a full moon';
    case 'crescent':
      return 'a crescent moon';
  }
}

/** `a`, `a and b`, `a, b and c`. */
function list(phrases: readonly string[]): string {
  if (phrases.length < 2) return phrases.join('');
  return `${phrases.slice(0, -1).join(', ')} and ${phrases.at(-1)}`;
}

/**
 * Writes a caption for the attributes. The same random stream gives the same words whatever the probabilities,
 * but for the phrases that they switch on and off.
 */
export function describe(
  attributes: PostcardAttributes,
  random: Random,
  { positionProbability = 0.5 }: CaptionOptions = {},
): { caption: string; named: Named } {
  const named: Named = {
    position: random.chance(positionProbability) && attributes.object !== 'none',
    body: random.chance(BODY_PROBABILITY) && attributes.body !== 'none',
  };
  const order = random.integer(4);
  const object = objectPhrase(attributes, named.position, random);
  const bodyName = bodyPhrase(attributes, random);
  let others = [
    treePhrase(attributes, random),
    extraPhrase(attributes, random),
    named.body ? bodyName : null,
  ];
  if (order === 3) others = random.shuffle(others);
  const things = others.filter((phrase) => phrase !== null);
  const onTerrain = random.pick(ON_TERRAIN[attributes.terrain]);
  const terrain = random.pick(TERRAIN[attributes.terrain]);
  const sky = random.pick(UNDER_SKY[attributes.sky]);
  const all = object === null ? things : [object, ...things];

  let caption: string;
  if (all.length === 0) caption = `${terrain} ${sky}`;
  else if (order === 1) caption = `${terrain} ${sky} with ${list(all)}`;
  else if (order === 2) caption = `${list(all)} ${onTerrain} ${sky}`;
  else if (object === null) caption = `${terrain} ${sky}${random.pick([' with', ','])} ${list(things)}`;
  else if (things.length === 0) caption = `${object} ${onTerrain} ${sky}`;
  else caption = `${object} ${onTerrain} ${sky}${random.pick([' with', ', with', ' and'])} ${list(things)}`;

  if (random.chance(PREFIX_PROBABILITY)) {
    const prefixed = `${random.pick(PREFIXES)} ${caption}`;
    if (prefixed.split(' ').length <= MAX_CAPTION_WORDS) caption = prefixed;
  }
  return { caption, named };
}
