/**
 * The package as somebody gets it: packed from a copy of the working tree, installed into an empty project, and used
 * there by its command, from JavaScript and from TypeScript.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { VERSION } from '../src/version.ts';
import { temporaryFolder } from './cli/lcm.ts';
import { examplesOf } from './cli/markdown.ts';

// Half a minute on a quiet machine that has the packages in npm's cache.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const root = fileURLToPath(new URL('..', import.meta.url));
const temporary = temporaryFolder();
const project = join(temporary.path, 'project');
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

async function run(command: string, args: readonly string[], cwd = project): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(command, args, {
    cwd,
    maxBuffer: 2 ** 26,
    shell: command.endsWith('.cmd'),
  }).catch((error) => {
    throw new Error(`${command} ${args.join(' ')}:\n${error.stdout}${error.stderr}`);
  });
  expect(stderr).not.toMatch(/Unknown project config/);
  return stdout;
}

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}
let packed: Packed;

beforeAll(async () => {
  const copy = join(temporary.path, 'copy');
  const listed = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], root);
  const deleted = new Set((await run('git', ['ls-files', '-z', '--deleted'], root)).split('\0'));
  const files = listed
    .split('\0')
    .filter((file) => file !== '' && !file.startsWith('tests/') && !deleted.has(file));
  for (const file of files) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(root, file), join(copy, file));
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction');
  packed = JSON.parse(await run(npm, ['pack', '--json', '--pack-destination', temporary.path], copy))[0];
  expect(readdirSync(copy)).not.toContain('vendor');
  mkdirSync(project);
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ name: 'project', private: true, type: 'module' }),
  );
  await run(npm, [
    ...['install', join(temporary.path, packed.filename)],
    ...['--prefer-offline', '--no-audit', '--no-fund'],
  ]);
});
afterAll(temporary.remove);

it('is no larger than 125 MB, of which ONNX Runtime for all platforms is 98 and the embedded model 18', () => {
  expect(packed.size).toBeLessThan(125e6);
});

it('holds what is needed to use it, and nothing that is for working on it', () => {
  const paths = packed.files.map(({ path }) => path);
  expect(paths).toEqual(expect.arrayContaining(['bin/lcm.js', 'dist/index.js', 'dist/index.d.ts']));
  expect(paths.filter((path) => /\.test\.|\.map$|^(src|tests|scripts|benchmarks)\//.test(path))).toEqual([]);
});

it('runs nothing when it is installed: no package of the whole tree has a script for that', () => {
  const modules = join(project, 'node_modules');
  const manifests = readdirSync(modules, { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('package.json'),
  );
  const withScripts = manifests.filter((path) => {
    const { name, version, scripts = {} } = JSON.parse(readFileSync(join(modules, path), 'utf8'));
    return name && version && ['preinstall', 'install', 'postinstall'].some((event) => event in scripts);
  });
  expect(manifests.length).toBeGreaterThan(10);
  expect(withScripts).toEqual([]);
});

describe('in a working copy', () => {
  const read = (name: string) => JSON.parse(readFileSync(join(root, name), 'utf8'));

  it('the version in the code is that of package.json', () => {
    expect(read('package.json').version).toBe(VERSION);
    expect(read('package-lock.json').version).toBe(VERSION);
  });

  it("npm does not run onnxruntime-node's script: 11.16 and newer are told, older ones do not know of it", () => {
    expect(Object.values(read('package.json').allowScripts)).not.toContain(true);
    expect(read('package.json').allowScripts).toHaveProperty('onnxruntime-node', false);
    const { packages } = read('package-lock.json');
    const message =
      'npm has written "hasInstallScript" for onnxruntime-node into package-lock.json; take it out again';
    expect(packages['node_modules/onnxruntime-node'], message).not.toHaveProperty('hasInstallScript');
  });
});

it('draws by its command', async () => {
  const said = await run(npm, ['exec', '--offline', '--', 'lcm', 'generate', 'a cottage', '--out', 'a.png']);
  expect(said).toMatch(/^a\.png {2}\(64×64, seed \d+\)$/m);
  expect([...readFileSync(join(project, 'a.png')).subarray(1, 4)]).toEqual([...Buffer.from('PNG')]);
});

it("runs README's examples of the library", async () => {
  const examples = examplesOf(readFileSync(join(root, 'README.md'), 'utf8'));
  expect(examples.length).toBeGreaterThan(0);
  for (const [i, { text }] of examples.entries()) {
    writeFileSync(join(project, `example-${i}.js`), `globalThis.show = () => {};\n${text}`);
    await run(process.execPath, [`example-${i}.js`]);
  }
});

it('has types that a strict project compiles with, declarations of the package included', async () => {
  for (const name of ['@types/node', 'undici-types']) {
    cpSync(join(root, 'node_modules', name), join(project, 'node_modules', name), { recursive: true });
  }
  cpSync(join(root, 'tests/fixtures/consumer.ts'), join(project, 'consumer.ts'));
  const compilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    target: 'ES2022',
    module: 'NodeNext',
    types: [],
  };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  expect(await run(process.execPath, [compiler, '-p', 'tsconfig.json'])).toBe('');
});
