/** Text on a canvas, with the fonts of the machine or, where there are none, with a small one of our own. */
import { createCanvas, GlobalFonts, type SKRSContext2D } from '@napi-rs/canvas';
import { ADVANCE, GLYPH_HEIGHT, GLYPH_WIDTH, glyphPixel, hasGlyph } from './bitmap-font.ts';

export interface TextStyle {
  /** Height of the type in pixels. */
  readonly size: number;
  readonly color: string;
  readonly bold?: boolean;
  /** `_` puts the character after it lower and smaller, as in `x_t`. */
  readonly subscripts?: boolean;
}

export interface TextPainter {
  /** In pixels. */
  width(text: string, style: TextStyle): number;
  /** Paints from `x` to the right, around the height `y`. */
  paint(text: string, x: number, y: number, style: TextStyle): void;
}

/** With the machine's sans-serif font where one is registered. */
export function textPainter(context: SKRSContext2D, useFonts = GlobalFonts.families.length > 0): TextPainter {
  const draw = useFonts ? fontRun(context) : bitmapRun(context);
  return {
    width: (text, style) => walk(text, style, (run, at, sized) => draw(run, at, 0, sized, false)),
    paint: (text, x, y, style) => {
      walk(text, style, (run, at, sized, lower) => draw(run, x + at, y + lower, sized, true));
    },
  };
}

/** The characters in the texts for which there is no glyph, each once: a box or a `?` stands in their place. */
export function missingGlyphs(
  texts: readonly string[],
  useFonts = GlobalFonts.families.length > 0,
): string[] {
  // Every font of a machine has the printable ones of ASCII.
  const characters = [...new Set(texts.flatMap((text) => [...text]))].filter(
    (character) => !/^[\s -~\p{M}\p{Cf}]$/u.test(character),
  );
  if (!useFonts) return characters.filter((character) => !hasGlyph(character));
  const size = 24;
  const context = createCanvas(2 * size, 2 * size).getContext('2d');
  const painter = textPainter(context, true);
  const painted = (character: string) => {
    context.clearRect(0, 0, 2 * size, 2 * size);
    painter.paint(character, size / 2, size, { size, color: '#000000' });
    return Buffer.from(context.getImageData(0, 0, 2 * size, 2 * size).data);
  };
  const box = painted(NO_CHARACTER);
  return characters.filter((character) => painted(character).equals(box));
}

/** No font has a glyph for it. */
const NO_CHARACTER = '\u{10fffe}';

/** Draws, or only measures, a run of characters of one size; returns its width. */
type Run = (text: string, x: number, y: number, style: TextStyle, visible: boolean) => number;

/** Splits at subscripts, where the style has them, and sums the widths. */
function walk(
  text: string,
  style: TextStyle,
  visit: (run: string, at: number, style: TextStyle, lower: number) => number,
): number {
  if (!style.subscripts) return visit(text, 0, style, 0);
  let at = 0;
  for (const part of text.split(/(_.)/).filter(Boolean)) {
    const subscript = part.length === 2 && part.startsWith('_');
    const sized = subscript ? { ...style, size: Math.round(style.size * 0.75) } : style;
    at += visit(subscript ? part.slice(1) : part, at, sized, subscript ? Math.round(style.size * 0.25) : 0);
  }
  return at;
}

function fontRun(context: SKRSContext2D): Run {
  return (text, x, y, { size, color, bold }, visible) => {
    context.font = `${bold ? 'bold ' : ''}${size}px Helvetica, Arial, "DejaVu Sans", sans-serif`;
    context.textBaseline = 'middle';
    context.fillStyle = color;
    if (visible) context.fillText(text, x, y);
    return context.measureText(text).width;
  };
}

function bitmapRun(context: SKRSContext2D): Run {
  return (text, x, y, { size, color, bold }, visible) => {
    const scale = Math.max(1, Math.round(size / (GLYPH_HEIGHT + 1)));
    const top = Math.round(y - (scale * GLYPH_HEIGHT) / 2);
    context.fillStyle = color;
    const characters = [...text];
    characters.forEach((character, i) => {
      for (let row = 0; visible && row < GLYPH_HEIGHT; row++) {
        for (let column = 0; column < GLYPH_WIDTH; column++) {
          if (!glyphPixel(character, column, row)) continue;
          const left = Math.round(x) + scale * (i * ADVANCE + column);
          context.fillRect(left, top + scale * row, bold ? scale + 1 : scale, scale);
        }
      }
    });
    return scale * ADVANCE * characters.length;
  };
}
