/** Text in a box: broken into lines, made smaller, and at last cut. */
import type { TextStyle } from '../../images/node/text-painter.ts';

/** The width of a text in pixels. */
export type Measure = (text: string, style: TextStyle) => number;

export interface FittedText {
  readonly lines: readonly string[];
  readonly style: TextStyle;
}

/** Smaller type than that is hard to read. */
export const SMALLEST = 11;

export function lineHeight({ size }: TextStyle): number {
  return Math.round(size * 1.3);
}

/**
 * Texts of one size, each in its own box: the largest size from `style` down at which all fit. What does not fit at
 * the smallest either ends in dots.
 */
export function fitTexts(
  texts: readonly { readonly text: string; readonly width: number; readonly height: number }[],
  style: TextStyle,
  measure: Measure,
): FittedText[] {
  for (let size = style.size; ; size--) {
    const sized = { ...style, size };
    const most = (height: number) => Math.max(1, Math.floor(height / lineHeight(sized)));
    const wrapped = texts.map(({ text, width }) => wrap(text, width, sized, measure));
    const fits = wrapped.every(
      ({ lines, brokeWord }, i) => lines.length <= most(texts[i]!.height) && !brokeWord,
    );
    if (!fits && size > SMALLEST) continue;
    return wrapped.map(({ lines }, i) => ({
      lines: cut(lines, most(texts[i]!.height), texts[i]!.width, sized, measure),
      style: sized,
    }));
  }
}

/** Breaks at spaces, and within words that are wider than the box. */
function wrap(
  text: string,
  width: number,
  style: TextStyle,
  measure: Measure,
): { readonly lines: string[]; readonly brokeWord: boolean } {
  const lines: string[] = [];
  let brokeWord = false;
  let line = '';
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (measure(longer, style) <= width) {
      line = longer;
      continue;
    }
    if (line !== '') lines.push(line);
    line = '';
    for (const character of word) {
      if (line !== '' && measure(line + character, style) > width) {
        lines.push(line);
        line = '';
        brokeWord = true;
      }
      line += character;
    }
  }
  return { lines: line === '' ? lines : [...lines, line], brokeWord };
}

function cut(
  lines: readonly string[],
  most: number,
  width: number,
  style: TextStyle,
  measure: Measure,
): string[] {
  if (lines.length <= most) return [...lines];
  const last = [...lines[most - 1]!];
  while (last.length > 1 && measure(`${last.join('')}...`, style) > width) last.pop();
  return [...lines.slice(0, most - 1), `${last.join('').trimEnd()}...`];
}
