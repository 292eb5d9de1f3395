/**
 * Texts as they are written to a terminal. Prompts in pictures, metadata of LoRAs, names of tensors and files are other
 * people's, and a terminal obeys what it is sent: control characters move the cursor, set its title or paste into it,
 * and directional overrides show a text in another order than it has. Here they become visible escapes, `\x1b`.
 */

// C0 but tab and newline, DEL and C1; halves of surrogate pairs; directional embeddings, overrides and isolates.
const UNSEEN = /(?![\t\n])\p{Cc}|\p{Cs}|[\u202a-\u202e\u2066-\u2069]/gu;

function visible(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
}

/** A text of one or several lines. */
export function shownText(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(UNSEEN, visible);
}

/** A text that stays on its line. */
export function shownLine(text: string): string {
  return shownText(text).replace(/\n/g, '\\n');
}

/** JSON on one line: the value is exact, and no character of it means anything to a terminal. */
export function jsonLine(value: unknown): string {
  // JSON itself escapes C0 and halves of surrogate pairs, and has an escape for the others.
  return JSON.stringify(value).replace(
    UNSEEN,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
