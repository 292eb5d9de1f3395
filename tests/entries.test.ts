/** The ways into the package: what package.json offers is there, clean where it says so, and works as its header shows. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { EvaluationRow } from '../src/evaluation.ts';
import { decodePng, readPictureSettings, readPngText } from '../src/index.ts';
import { examplesOf } from './cli/markdown.ts';

vi.setConfig({ testTimeout: 300_000 });

const root = fileURLToPath(new URL('..', import.meta.url));
const entries = {
  'latent-consistency/training': 'training',
  'latent-consistency/evaluation': 'evaluation',
  'latent-consistency/graph': 'graph',
  'latent-consistency': 'index',
};

let folder: string;
const before = process.cwd();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'entries-'));
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(before);
  rmSync(folder, { recursive: true });
});

it('are those of package.json', () => {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const offered = [...Object.values(entries), 'web'].map((name) => {
    const entry = name === 'index' ? '.' : `./${name}`;
    return [entry, { types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` }];
  });
  expect(exports).toEqual({ ...Object.fromEntries(offered), './package.json': './package.json' });
});

/** Names of an entry, or all of it, as a page gets them; how many bytes that is, and compressed. */
async function bundleForPages(names = '*', entry = 'web') {
  const contents = `export ${names} from ${JSON.stringify(join(root, `src/${entry}.ts`))};`;
  const { metafile, outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    minify: true,
    logLevel: 'silent',
  });
  const imports = Object.values(metafile.inputs).flatMap((input) => input.imports.map(({ path }) => path));
  const code = outputFiles[0]!.contents;
  const size = { bytes: code.length, compressed: gzipSync(code).length };
  console.log(`latent-consistency/${entry}, ${names}: ${size.bytes} bytes, ${size.compressed} compressed`);
  return { imports, size };
}

it('the one for browsers needs nothing of Node, and is small', async () => {
  const all = await bundleForPages();
  // A module of Node would have failed already: there is none for this platform.
  expect(all.imports.length).toBeGreaterThan(100);
  expect(all.imports.filter((path) => path.startsWith('node:') || /src\/.*\/node\//.test(path))).toEqual([]);
  expect(all.size.compressed).toBeLessThan(150_000);
  // A page takes along what it uses: a third of the whole are the regular expressions of LoRAs' configurations.
  const drawing = await bundleForPages('{ createPipeline, httpFiles, modelFilesIn, singleFileIn }');
  expect(drawing.size.compressed).toBeLessThan(90_000);
});

it('the one for writing models needs nothing of Node either', async () => {
  const { imports } = await bundleForPages('*', 'graph');
  expect(imports.filter((path) => path.startsWith('node:') || /src\/.*\/node\//.test(path))).toEqual([]);
});

it('suffice for what tests/extending adds to the product', () => {
  const folder = join(root, 'tests/extending');
  const names = ['evaluation', 'graph', 'index', 'training', 'web'].map((name) => `../../src/${name}.ts`);
  const files = readdirSync(folder);
  expect(files).toEqual(expect.arrayContaining(['engine.test.ts', 'network.test.ts', 'objective.test.ts']));
  for (const file of files) {
    const text = readFileSync(join(folder, file), 'utf8');
    const sources = [...text.matchAll(/from '(\.[^']*)'/g)].map(([, from]) => from!);
    expect(sources.length, file).toBeGreaterThan(0);
    const inside = sources.filter((from) => from.startsWith('../../src/') && !names.includes(from));
    expect(inside, file).toEqual([]);
  }
});

/** The example in the header of an entry, as a module that imports the sources. */
function exampleOf(name: string): string {
  const [header] = /^\/\*\*[\s\S]*?\*\//.exec(readFileSync(join(root, `src/${name}.ts`), 'utf8'))!;
  const [example] = examplesOf(header.replace(/^ \* ?/gm, ''));
  return Object.entries(entries).reduce(
    (text, [entry, file]) => text.replaceAll(`'${entry}'`, JSON.stringify(join(root, `src/${file}.ts`))),
    example!.text,
  );
}

async function run(name: string, example: string): Promise<void> {
  const file = join(folder, `${name}.ts`);
  writeFileSync(file, example);
  await import(/* @vite-ignore */ pathToFileURL(file).href);
}

it('the one for Node draws, shows and saves as its header says', async () => {
  const show = vi.fn();
  vi.stubGlobal('show', show);
  await run('index', exampleOf('index'));
  vi.unstubAllGlobals();
  expect(show).toHaveBeenCalledTimes(4);
  const file = readFileSync('lighthouse.png');
  expect(await decodePng(file)).toMatchObject({ width: 64, height: 64 });
  expect(readPictureSettings(await readPngText(file))).toMatchObject({ model: 'postcards', seed: 7 });
});

it('the one for training trains as its header says', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  const example = exampleOf('training');
  const tiny = example.replace('steps: 200, batch: 16', 'steps: 2, batch: 2');
  expect(tiny).not.toBe(example);
  await run('training', tiny);
  expect(log).toHaveBeenCalledWith(expect.objectContaining({ type: 'step', step: 2 }));
  log.mockRestore();
  const { _class_name: name } = JSON.parse(readFileSync('runs/autoencoder/model/vae/config.json', 'utf8'));
  expect(name).toBe('AutoencoderKL');
});

it('the one for measuring measures as its header says', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  const example = exampleOf('evaluation');
  const few = example.replace('count: 512', 'count: 4, steps: [1]');
  expect(few).not.toBe(example);
  await run('evaluation', few);
  const [rows] = log.mock.calls.at(-1) as [readonly EvaluationRow[]];
  log.mockRestore();
  expect(rows.map(({ name }) => name)).toEqual(['real', 'reconstruction', 'LCM, 1 step']);
});

it('the one for writing models derives and computes as its header says', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  await run('graph', exampleOf('graph'));
  expect(log).toHaveBeenCalledWith(Float32Array.of(2, 4, 6));
  log.mockRestore();
});
