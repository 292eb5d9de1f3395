/**
 * The label schema of a judge: ten questions about a picture, the answers each allows, and which of them a
 * caption settles. A judge is scored, and scores a model, only on what the caption settles.
 */

import {
  BODIES,
  COLORS,
  COUNTS,
  EXTRAS,
  OBJECTS,
  POSITIONS,
  type PostcardAttributes,
  SKIES,
  TERRAINS,
  TREES,
} from './attributes.ts';
import type { Named } from './captions.ts';

/** A postcard's attributes together with what its caption chose to name. */
export interface PostcardRecord extends PostcardAttributes {
  named: Named;
}

/** The judge's heads in order, each with its classes in order; a label is an index into the classes. */
export const LABEL_HEADS = {
  sky: SKIES,
  body: BODIES,
  terrain: TERRAINS,
  object: OBJECTS,
  color: ['none', ...COLORS],
  pos: ['none', ...POSITIONS],
  tree: TREES,
  count: COUNTS.map(String),
  extra: EXTRAS,
  balloonColor: ['none', ...COLORS],
} as const satisfies Record<string, readonly string[]>;

/** A question that the judge answers of a picture. */
export type LabelHead = keyof typeof LABEL_HEADS;
export const LABEL_HEAD_NAMES = Object.keys(LABEL_HEADS) as LabelHead[];

/** The classes of a record, by name. */
export function answersOf(record: PostcardAttributes): Record<LabelHead, string> {
  const { sky, body, terrain, object, color, position: pos, tree, extra, balloonColor } = record;
  return { sky, body, terrain, object, color, pos, tree, count: String(record.count), extra, balloonColor };
}

/** The classes of a record, as indices into `LABEL_HEADS[head]`. */
export function labelsOf(record: PostcardAttributes): Record<LabelHead, number> {
  const answers = answersOf(record);
  const labels = Object.entries(answers).map(([head, answer]) => {
    const classes: readonly string[] = LABEL_HEADS[head as LabelHead];
    return [head, classes.indexOf(answer)];
  });
  return Object.fromEntries(labels) as Record<LabelHead, number>;
}

/**
 * The heads that the caption settles: sky, terrain and object always (a caption without an object asks for none);
 * colour, trees, their count, the extra and the balloon's colour when present, since captions then name them;
 * position and body only when this caption names them.
 */
export function fixedByCaption(record: PostcardRecord): LabelHead[] {
  const fixed: Record<LabelHead, boolean> = {
    sky: true,
    body: record.named.body,
    terrain: true,
    object: true,
    color: record.color !== 'none',
    pos: record.named.position,
    tree: record.tree !== 'none',
    count: record.tree !== 'none',
    extra: record.extra !== 'none',
    balloonColor: record.balloonColor !== 'none',
  };
  return LABEL_HEAD_NAMES.filter((head) => fixed[head]);
}

/**
 * The heads whose answer a caption tells: those that it settles, and those that follow from what it leaves out, since
 * captions name every object, tree and extra. Only a position or a body that is there and not named cannot be told.
 */
export function toldByCaption(record: PostcardRecord): LabelHead[] {
  const { named, object } = record;
  return LABEL_HEAD_NAMES.filter(
    (head) => (head !== 'body' || named.body) && (head !== 'pos' || named.position || object === 'none'),
  );
}

/** What a caption names whenever a postcard has it, and how many trees: whatever else is there was not asked for. */
const ALWAYS_NAMED = ['object', 'tree', 'extra'] as const;

/**
 * Whether somebody who sees `found` in a picture, as indices into `LABEL_HEADS`, sees a thing that the caption does not
 * ask for: an object, a kind of tree or an extra other than its own, more trees than it counts, or another body in the
 * sky than the one that it names. That something is missing is no part of it.
 */
export function hasUninvited(record: PostcardRecord, found: Readonly<Record<LabelHead, number>>): boolean {
  const asked = labelsOf(record);
  const isOther = (head: LabelHead) =>
    found[head] !== asked[head] && LABEL_HEADS[head][found[head]] !== 'none';
  return (
    ALWAYS_NAMED.some(isOther) ||
    (record.tree !== 'none' && COUNTS[found.count]! > record.count) ||
    (record.named.body && isOther('body'))
  );
}
