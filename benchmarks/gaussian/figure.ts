/** docs/images/consistency-on-gaussian-data.svg: trained functions along trajectories whose ends are known. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Engine } from '../../src/engines/engine.ts';
import { exactFunction, gaussianLevels, type Kind, trainOnGaussian, trajectory } from './train.ts';

const PANELS: readonly (readonly [Kind, string])[] = [
  ['diffusion', 'diffusion model: its x̂₀'],
  ['ect', 'the same after ECT'],
  ['ict', 'iCT, from random weights'],
];
const TRAJECTORIES = [-2, -1, 0, 1, 2];
const COLOURS = ['#4c72b0', '#55a868', '#8172b2', '#ccb974', '#c44e52'];
const [WIDTH, HEIGHT, MARGIN] = [280, 240, 36];
/** Vertical range of f. */
const [LOW, HIGH] = [-1.1, 1.7];
const { min, max } = gaussianLevels;
const LEVELS = Array.from({ length: 60 }, (_, i) => min * (max / min) ** (i / 59));

export interface GaussianErrors {
  readonly kind: Kind;
  /** Root mean square of f − the exact function over the trajectories, at σ = 1 and 14.6. */
  readonly errors: readonly number[];
}

/** Trains, draws the figure, and says how far the functions are from the exact one. */
export async function drawGaussianFigure(engine: Engine, steps: number): Promise<GaussianErrors[]> {
  const panels: string[] = [];
  const rows: GaussianErrors[] = [];
  for (const [index, [kind, title]] of PANELS.entries()) {
    const f = await trainOnGaussian(engine, kind, steps);
    const ends = await Promise.all(
      LEVELS.map((sigma) =>
        f(
          TRAJECTORIES.map((u) => trajectory(u, sigma)),
          sigma,
        ),
      ),
    );
    panels.push(panel(index, title, ends));
    const errors = [];
    for (const sigma of [1, 14.6]) {
      const x = TRAJECTORIES.map((u) => trajectory(u, sigma));
      const squares = (await f(x, sigma)).map((y, i) => (y - exactFunction(x[i]!, sigma)) ** 2);
      errors.push(Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / squares.length));
    }
    rows.push({ kind, errors });
  }
  const path = fileURLToPath(
    new URL('../../../docs/images/consistency-on-gaussian-data.svg', import.meta.url),
  );
  const size = `viewBox="0 0 ${PANELS.length * WIDTH} ${HEIGHT}"`;
  await writeFile(
    path,
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="11">\n` +
      `<title>Functions along trajectories, over the level of noise</title>\n` +
      `<rect width="100%" height="100%" fill="white"/>\n${panels.join('\n')}\n</svg>\n`,
  );
  return rows;
}

/** ends: f by level and trajectory. */
function panel(index: number, title: string, ends: readonly (readonly number[])[]): string {
  const left = index * WIDTH + MARGIN;
  const width = WIDTH - MARGIN - 10;
  const bottom = HEIGHT - MARGIN;
  const xOf = (sigma: number) => left + (width * Math.log(sigma / min)) / Math.log(max / min);
  const yOf = (f: number) => bottom - ((bottom - 24) * (f - LOW)) / (HIGH - LOW);
  const point = (sigma: number, f: number) => `${xOf(sigma).toFixed(1)},${yOf(f).toFixed(1)}`;
  const axis = `<path d="M${left},24 V${bottom} H${left + width}" fill="none" stroke="#888"/>`;
  const ticks = [0.01, 0.1, 1, 10].map(
    (sigma) => `<text x="${xOf(sigma)}" y="${bottom + 14}" text-anchor="middle">${sigma}</text>`,
  );
  const heights = [-1, 0, 1].map(
    (f) => `<text x="${left - 4}" y="${yOf(f) + 4}" text-anchor="end">${f}</text>`,
  );
  const lines = TRAJECTORIES.map((u, k) => {
    const exact = exactFunction(trajectory(u, 1), 1);
    const learned = LEVELS.map((sigma, i) => point(sigma, ends[i]![k]!)).join(' ');
    return (
      `<path d="M${point(min, exact)} L${point(max, exact)}" stroke="#bbb" stroke-dasharray="3 3"/>` +
      `<polyline points="${learned}" fill="none" stroke="${COLOURS[k]}" stroke-width="1.6"/>`
    );
  });
  const words = [
    `<text x="${left + width / 2}" y="14" text-anchor="middle" font-weight="bold">${title}</text>`,
    `<text x="${left + width / 2}" y="${bottom + 29}" text-anchor="middle">noise level σ along a trajectory</text>`,
  ];
  return [axis, ...ticks, ...heights, ...lines, ...words].join('\n');
}
