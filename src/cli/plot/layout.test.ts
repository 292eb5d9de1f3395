import { describe, expect, it } from 'vitest';
import { createImage } from '../../images/image.ts';
import { createSheet } from './draw.ts';
import { fitTexts, lineHeight, type Measure, SMALLEST } from './fit-text.ts';
import { layoutPlot, type PlotContents } from './layout.ts';

/** Every character half as wide as high. */
const measure: Measure = (text, { size }) => (text.length * size) / 2;

const contents: PlotContents = {
  title: 'a red-roofed cottage on green hills at sunset',
  remark: 'Seed: 7',
  columns: ['steps: 1', 'steps: 2, which is a label so long that it takes several lines over the column'],
  rows: ['guidance scale: 1', 'guidance scale: 4', 'Donaudampfschifffahrtsgesellschaftskapitän'],
  grids: ['seed: 1', 'seed: 2'],
  sizeOf: (column, row) => ({ width: column === 1 ? 192 : 128, height: row === 2 ? 256 : 128 }),
};

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

function boxes(given: PlotContents): { pictures: Box[]; texts: Box[]; sheet: Box } {
  const { width, height, texts, placeOf } = layoutPlot(given, measure);
  const pictures = given.grids.flatMap((_, z) =>
    given.rows.flatMap((_, y) =>
      given.columns.map((_, x) => {
        const { left, top } = placeOf(x, y, z);
        const size = given.sizeOf(x, y, z);
        return { left, top, right: left + size.width, bottom: top + size.height };
      }),
    ),
  );
  return {
    pictures,
    texts: texts.map(({ text, x, y, style }) => ({
      left: x,
      top: y - lineHeight(style) / 2,
      right: x + measure(text, style),
      bottom: y + lineHeight(style) / 2,
    })),
    sheet: { left: 0, top: 0, right: width, bottom: height },
  };
}

/** By more than the rounding of half a pixel on either side. */
function overlap(a: Box, b: Box): boolean {
  const inside = (low: number, high: number) => high - low > 1;
  return (
    inside(Math.max(a.left, b.left), Math.min(a.right, b.right)) &&
    inside(Math.max(a.top, b.top), Math.min(a.bottom, b.bottom))
  );
}

describe('layoutPlot', () => {
  it.each([
    ['three axes', contents],
    ['one column', { ...contents, columns: [''], grids: [''] }],
    ['one row', { ...contents, rows: [''], grids: [''] }],
    [
      'a single picture without texts',
      { ...contents, title: '', remark: '', columns: [''], rows: [''], grids: [''] },
    ],
    ['a wide grid, one below the other', { ...contents, columns: new Array<string>(9).fill('steps: 1') }],
  ])('keeps pictures and texts apart and on the sheet: %s', (_, given) => {
    const { pictures, texts, sheet } = boxes(given);
    const all = [...pictures, ...texts];
    for (const [i, a] of all.entries()) {
      expect(all.slice(i + 1).filter((b) => overlap(a, b))).toEqual([]);
      expect(a.left >= 0 && a.top >= 0 && a.right <= sheet.right && a.bottom <= sheet.bottom).toBe(true);
    }
  });

  it('aligns the pictures of a column and of a row by their middles', () => {
    const sizes = {
      ...contents,
      sizeOf: (x: number, y: number) => ({ width: 64 + 32 * y, height: 64 + 64 * x }),
    };
    const { pictures } = boxes({ ...sizes, grids: [''] });
    const middle = ({ left, right }: Box) => (left + right) / 2;
    expect(pictures.filter((_, i) => i % 2 === 1).map(middle)).toEqual(
      new Array(3).fill(middle(pictures[1]!)),
    );
    const height = ({ top, bottom }: Box) => (top + bottom) / 2;
    expect(height(pictures[2]!)).toBe(height(pictures[3]!));
  });

  it('stands tall grids side by side, and wide ones one below the other', () => {
    const tall = layoutPlot(contents, measure);
    expect(tall.placeOf(0, 0, 1).top).toBe(tall.placeOf(0, 0, 0).top);
    const wide = layoutPlot({ ...contents, columns: new Array<string>(9).fill('') }, measure);
    expect(wide.placeOf(0, 0, 1).left).toBe(wide.placeOf(0, 0, 0).left);
    expect(wide.placeOf(0, 0, 1).top).toBeGreaterThan(wide.placeOf(0, 2, 0).top);
  });
});

describe('fitTexts', () => {
  const style = { size: 20, color: '#000' };

  it('breaks between words, and shrinks all texts alike', () => {
    const short = { text: 'one two three', width: 80, height: 60 };
    expect(fitTexts([short], style, measure)).toEqual([{ lines: ['one two', 'three'], style }]);
    const long = { ...short, text: 'one two three four five six' };
    const [first, second] = fitTexts([short, long], style, measure);
    expect(first!.style.size).toBeLessThan(20);
    expect(second!.style).toEqual(first!.style);
    expect(second!.lines.join(' ')).toBe(long.text);
  });

  it('breaks words and cuts only at the smallest size', () => {
    const [word] = fitTexts([{ text: 'w'.repeat(30), width: 80, height: 60 }], style, measure);
    expect(word!.style.size).toBe(SMALLEST);
    expect(word!.lines.join('')).toBe('w'.repeat(30));
    const [cut] = fitTexts([{ text: 'word '.repeat(50), width: 80, height: 60 }], style, measure);
    expect(cut!.lines.length).toBe(4);
    expect(cut!.lines.at(-1)).toMatch(/^word.*\.\.\.$/);
    for (const line of cut!.lines) expect(measure(line, cut!.style)).toBeLessThanOrEqual(80);
  });
});

describe('createSheet', () => {
  const small: PlotContents = { ...contents, sizeOf: () => ({ width: 128, height: 128 }) };

  it.each([true, false])('paints the legend and the pictures, fonts of the machine: %s', (fonts) => {
    const sheet = createSheet(small, 2, fonts);
    const blank = sheet.image();
    const picture = createImage(64, 64, 3);
    picture.data.fill(200);
    for (const z of [0, 1]) for (const y of [0, 1, 2]) for (const x of [0, 1]) sheet.draw(picture, x, y, z);
    const { width, height, data } = sheet.image();
    expect([width, height]).toEqual([sheet.width, sheet.height]);
    let painted = 0;
    let ink = 0;
    for (let i = 0; i < data.length; i += 3) {
      if (data[i] === 200) painted++;
      if (blank.data[i]! < 100) ink++;
    }
    expect(painted).toBeGreaterThanOrEqual(12 * 128 * 128);
    expect(ink).toBeGreaterThan(1000);
  });

  it('knows which characters of the legend the fonts lack', () => {
    const titled = { ...small, title: 'a fox \u{10fffd}, été' };
    expect(createSheet(titled, 2, true).missing).toEqual(['\u{10fffd}']);
    expect(createSheet(titled, 2, false).missing).toEqual(['\u{10fffd}', 'é', 'ä']);
  });

  it('refuses sheets that nothing could open', () => {
    const huge = { ...small, sizeOf: () => ({ width: 8192, height: 8192 }) };
    expect(() => createSheet(huge, 2)).toThrow(/more than the 64 megapixels .* or a smaller --scale/);
  });
});
