/** What `JSON.parse` lets through and a careful reader should not: repeated keys, fractions, broken Unicode. */

/** What a number, `true`, `false` or `null` consists of. */
const WORD = /[^\s{}[\],:"]+/y;

/**
 * Looks through valid JSON in which every number has to be a whole number, none negative.
 * Returns a description of the first fault, or undefined when there is none.
 */
export function findJsonFault(text: string): string | undefined {
  // One set of keys per open object, undefined per open array.
  const open: (Set<string> | undefined)[] = [];
  let atKey = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : undefined);
      atKey = character === '{';
    } else if (character === '}' || character === ']') {
      open.pop();
      atKey = false;
    } else if (character === ',') {
      atKey = open.at(-1) !== undefined;
    } else if (character === ':') {
      atKey = false;
    } else if (character === '"') {
      const end = endOfString(text, at);
      const quoted = text.slice(at, end + 1);
      const string = JSON.parse(quoted) as string;
      if (/\p{Surrogate}/u.test(string)) return `half a surrogate pair in ${quoted}`;
      const keys = open.at(-1);
      if (atKey && keys) {
        if (keys.has(string)) return `the key ${quoted} twice`;
        keys.add(string);
      }
      at = end;
    } else if (!/\s/.test(character)) {
      WORD.lastIndex = at;
      const word = WORD.exec(text)![0];
      if (/^[-\d]/.test(word) && !/^\d+$/.test(word)) {
        return `the number ${word}, which is not a whole number of at least 0`;
      }
      at += word.length - 1;
    }
  }
  return undefined;
}

/** Where the string that opens at `start` closes. A loop: a regular expression would overflow on long ones. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
