/**
 * Words for messages. What a message shows of a file or a request may be anything of any size; shown is the beginning,
 * so that a message stays a few lines and what it says to do stays in sight.
 */

/** Characters that a message has at most. */
const LONGEST_MESSAGE = 499;
/** Characters of a shown value. */
const LONGEST_VALUE = 80;
/** How many names a list shows before it only counts. */
const LISTED = 5;
/** Lists and objects in each other that are shown. */
const DEEPEST = 3;

/** The message, with its middle left out where it is too long: what it is about comes first, what to do comes last. */
export function shortened(message: string): string {
  if (message.length <= LONGEST_MESSAGE) return message;
  const end = Math.floor(LONGEST_MESSAGE / 3);
  const begin = LONGEST_MESSAGE - end - ' … '.length;
  return `${whole(message.slice(0, begin))} … ${whole(message.slice(-end))}`;
}

/** A value as JSON has it, shortened: `[1,2,3]`, `"a text"`, `{"a":1,…`; `absent` for undefined. */
export function shown(value: unknown): string {
  return brief(written(value, LONGEST_VALUE, 0));
}

/** A name or another text without quotes, shortened. */
export function brief(text: string): string {
  return text.length <= LONGEST_VALUE ? text : `${whole(text.slice(0, LONGEST_VALUE - 1))}…`;
}

/** The first names of a list, and how many more there are; `none` for an empty one. */
export function listed(names: readonly string[], most = LISTED): string {
  if (names.length === 0) return 'none';
  const rest = names.length - most;
  return names.slice(0, most).map(brief).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** At least the first `room` characters of the value as text. Looks at little more of it than that takes. */
function written(value: unknown, room: number, depth: number): string {
  if (value === undefined) return 'absent';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, room));
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name} of ${value.byteLength} bytes`;
  const isList = Array.isArray(value);
  if (depth === DEEPEST) return isList ? '[…]' : '{…}';
  const items = Object.entries(isList ? value.slice(0, room) : value);
  let text = isList ? '[' : '{';
  for (const [name, item] of items) {
    if (text.length >= room) return text;
    if (text.length > 1) text += ',';
    if (!isList) text += `${JSON.stringify(name.slice(0, room))}:`;
    text += written(item, Math.max(0, room - text.length), depth + 1);
  }
  return text + (isList ? ']' : '}');
}

/** Without half a character at either end. */
function whole(text: string): string {
  return text.replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, '');
}
