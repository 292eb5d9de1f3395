/**
 * Holds the plan of the house: folders of src/ import only what lies below them, and no file imports itself by way of
 * others. `npm run lint` runs it; docs/architecture.md draws the same plan.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** From the ground up. The files beside the folders, but for the package's entries, are below all. */
const LEVELS = [
  'files',
  'graph',
  'layers',
  'random',
  'diffusion',
  'text',
  'weights',
  'models',
  'images',
  'engines',
  'hub',
  'components',
  'networks',
  'pipelines',
  'datasets',
  'evaluation',
  'training/objectives',
  'training/update',
  'training/loop',
  'training/data',
  'training/folder',
  'training/runs',
  'speed',
  'drawing',
  'cli',
];

/** Files that need each other by nature: an operator's gradient is written with other operators. */
const MAY_BE_CIRCULAR = /^graph\/operators\//;

const root = fileURLToPath(new URL('../src', import.meta.url));
const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'));

/** What each file imports of src/, types apart from values. */
const imports = new Map(files.map((file) => [file, importsOf(file)]));

const faults = [...upwards(), ...circles()];
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exit(1);

function importsOf(file) {
  const text = readFileSync(join(root, file), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s(type\s)?[^'";]*?from\s'(\.[^']+)'/gm);
  return [...statements].map(([, type, from]) => ({
    file: normalize(join(dirname(file), from))
      .split(sep)
      .join('/'),
    isType: type !== undefined,
  }));
}

/** The level of a file: its place among LEVELS, below all for loose files, above all for the index. */
function levelOf(file) {
  if (/^(index|web|training|evaluation|graph)\.ts$/.test(file)) return LEVELS.length;
  if (!file.includes('/')) return -1;
  const level = LEVELS.findIndex((folder) => file.startsWith(`${folder}/`));
  if (level === -1) {
    console.error(`src/${dirname(file)} is in no level of scripts/check-imports.js: put it where it belongs`);
    process.exit(1);
  }
  return level;
}

function upwards() {
  return [...imports].flatMap(([file, targets]) =>
    targets
      .filter((target) => levelOf(target.file) > levelOf(file))
      .map((target) => `src/${file} imports src/${target.file}, which lies above it`),
  );
}

/** Circles of imports of values; types alone bind nothing. */
function circles() {
  const found = [];
  const done = new Set();
  const visit = (file, path) => {
    const start = path.indexOf(file);
    if (start !== -1) {
      const circle = path.slice(start);
      if (!circle.every((each) => MAY_BE_CIRCULAR.test(each))) {
        found.push(`circle of imports: ${[...circle, file].map((each) => `src/${each}`).join(' → ')}`);
      }
      return;
    }
    if (done.has(file)) return;
    for (const target of imports.get(file) ?? []) if (!target.isType) visit(target.file, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  return found;
}
