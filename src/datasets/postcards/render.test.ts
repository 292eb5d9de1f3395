import { describe, expect, it } from 'vitest';
import { createContext } from '../node/canvas.ts';
import { type PostcardAttributes, sampleAttributes } from './attributes.ts';
import { drawPostcard, postcard } from './postcards.ts';
import { createRandom } from './random.ts';
import { postcards, renderPostcard, renderTensor } from './render.ts';
import { composeScene, EXTENT as SIZE } from './scene.ts';

const context = createContext(SIZE, SIZE);
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Mean of red, green and blue over the rows from `top` to `bottom`. */
function meanColor(rgb: Uint8Array, top: number, bottom: number): number[] {
  const rows = rgb.subarray(top * SIZE * 3, bottom * SIZE * 3);
  return [0, 1, 2].map((c) => rows.reduce((sum, v, i) => sum + (i % 3 === c ? v : 0), 0) / (rows.length / 3));
}

function farthest(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

describe('pictures', () => {
  it('depend on their index alone', () => {
    const card = postcard(5, { split: 'train' });
    const first = renderPostcard(context, card);
    renderPostcard(context, postcard(6, { split: 'train' }));
    expect(renderPostcard(context, card)).toEqual(first);
    // On a canvas of another size dithering and anti-aliasing may differ a little.
    const elsewhere = postcard(5, { split: 'train', positionProbability: 1 });
    expect(farthest(first, renderPostcard(createContext(80, 70), elsewhere))).toBeLessThan(16);
    expect(farthest(first, renderPostcard(context, card, 1))).toBeGreaterThan(30);
  });

  it('are the same as floats', () => {
    const cards = postcards([3, 9], { split: 'test' });
    const tensor = renderTensor(context, cards);
    expect(tensor.length).toBe(2 * 3 * SIZE * SIZE);
    for (const [n, card] of cards.entries()) {
      const rgb = renderPostcard(context, card);
      const planes = rgb.map((_, i) => {
        const [c, pixel] = [Math.floor(i / SIZE ** 2), i % SIZE ** 2];
        return Math.round((tensor[n * rgb.length + i]! + 1) * 127.5) - rgb[3 * pixel + c]!;
      });
      expect(planes.every((difference) => difference === 0)).toBe(true);
    }
    const reused = new Float32Array(tensor.length);
    expect(renderTensor(context, cards, reused)).toBe(reused);
    expect(reused).toEqual(tensor);
  });

  it('show the same scene in every size, with finer detail from 128 pixels on', () => {
    // Means over blocks of 2×2 pixels of the larger picture are nearly the smaller one; details tell them apart.
    const halved = (rgb: Uint8Array): Uint8Array =>
      Uint8Array.from({ length: SIZE * SIZE * 3 }, (_, i) => {
        const [c, x, y] = [i % 3, Math.floor(i / 3) % SIZE, Math.floor(i / 3 / SIZE)];
        const at = (dx: number, dy: number) => rgb[3 * ((2 * y + dy) * 2 * SIZE + 2 * x + dx) + c]!;
        return (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4;
      });
    const large = createContext(2 * SIZE, 2 * SIZE);
    const differences = range(30).map((index) => {
      const [small, fine] = [SIZE, 2 * SIZE].map((size) => postcard(index, { split: 'train', size }));
      expect(fine!.record).toEqual(small!.record);
      expect(fine!.caption).toBe(small!.caption);
      const expected = renderPostcard(context, small!);
      return halved(renderPostcard(large, fine!)).map((value, i) => Math.abs(value - expected[i]!));
    });
    const means = differences.map((values) => values.reduce((sum, value) => sum + value, 0) / values.length);
    expect(Math.max(...means)).toBeLessThan(4);
    expect(differences.some((values) => values.some((value) => value > 60))).toBe(true);
  });

  it('have the colours of their sky', () => {
    const skies = {
      day: [108, 168, 232],
      sunset: [190, 98, 108],
      night: [26, 32, 76],
      overcast: [160, 168, 180],
    };
    for (const [sky, expected] of Object.entries(skies)) {
      const cards = postcards(range(400), { split: 'train' }).filter(({ record }) => record.sky === sky);
      const tops = cards.map((card) => meanColor(renderPostcard(context, card), 0, 30));
      for (const c of [0, 1, 2]) {
        const mean = tops.reduce((sum, color) => sum + color[c]!, 0) / tops.length;
        expect(Math.abs(mean - expected[c]!), `${sky}, channel ${c}`).toBeLessThan(25);
      }
    }
  });

  it('show what the record says: every attribute changes pixels where it is', () => {
    const base: PostcardAttributes = {
      sky: 'day',
      body: 'sun',
      side: 'left',
      terrain: 'hills',
      object: 'cottage',
      color: 'red',
      position: 'right',
      tree: 'pine',
      count: 2,
      extra: 'balloon',
      balloonColor: 'blue',
    };
    const render = (changes: Partial<PostcardAttributes>) => {
      const { draw } = postcardOf({ ...base, ...changes });
      draw();
      return context.getImageData(0, 0, SIZE, SIZE).data;
    };
    const changed = (changes: Partial<PostcardAttributes>, test: (x: number, y: number) => boolean) => {
      const [a, b] = [render({}), render(changes)];
      let count = 0;
      for (let i = 0; i < SIZE * SIZE; i++) {
        const far = [0, 1, 2].some((c) => Math.abs(a[4 * i + c]! - b[4 * i + c]!) > 40);
        if (far && test(i % SIZE, Math.floor(i / SIZE))) count++;
      }
      return count;
    };
    expect(changed({ color: 'blue' }, (x, y) => x > 34 && y > 25)).toBeGreaterThan(60);
    expect(changed({ balloonColor: 'red' }, (x, y) => x > 32 && y < 28)).toBeGreaterThan(40);
    expect(changed({ color: 'blue' }, (x) => x < 32)).toBe(0);
    expect(changed({ object: 'tent' }, (x, y) => x > 34 && y > 25)).toBeGreaterThan(40);
    expect(changed({ tree: 'round' }, (_, y) => y > 25)).toBeGreaterThan(40);
    expect(changed({ body: 'none' }, (x, y) => x < 32 && y < 26)).toBeGreaterThan(60);
  });
});

/** Draws given attributes, always from the same random stream. */
function postcardOf(attributes: PostcardAttributes): { draw: () => void } {
  return { draw: () => drawPostcard(context, attributes, createRandom(77)) };
}

describe('scenes', () => {
  const scenes = range(6000).map((i) =>
    composeScene(sampleAttributes(createRandom(8, i)), createRandom(9, i)),
  );

  it('keep left, middle and right apart', () => {
    const xs = (position: string) =>
      scenes.filter(({ attributes }) => attributes.position === position).map(({ object }) => object.x);
    expect(Math.min(...xs('middle')) - Math.max(...xs('left'))).toBeGreaterThanOrEqual(11);
    expect(Math.min(...xs('right')) - Math.max(...xs('middle'))).toBeGreaterThanOrEqual(11);
  });

  it('keep what flies away from the sun and moon, and clouds away from both', () => {
    for (const { attributes, body, flying, clouds } of scenes) {
      if (attributes.body === 'none') continue;
      expect(Math.abs(body.x - flying.x)).toBeGreaterThan(16);
      for (const cloud of clouds) expect(Math.abs(cloud.x - body.x)).toBeGreaterThanOrEqual(14);
    }
  });

  it('have as many trees as the record says, apart from each other and inside the picture', () => {
    for (const { attributes, trees } of scenes) {
      expect(trees.length).toBe(attributes.count);
      const xs = trees.map(({ x }) => x).sort((a, b) => a - b);
      for (let i = 1; i < xs.length; i++) expect(xs[i]! - xs[i - 1]!).toBeGreaterThan(7);
      for (const { x, y } of trees) expect(x > 4 && x < 60 && y > 36 && y <= SIZE - 2).toBe(true);
    }
  });
});
