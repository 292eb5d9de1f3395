/**
 * What the package's entries offer, by API Extractor, which reads the built declarations with a TypeScript of its own.
 * `npm run docs` writes a page for every name to docs/api; with --check, as
 * tests/api.test.ts runs it, only what is wrong is said.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The entries of package.json by their files in dist/. */
const ENTRIES = ['index', 'web', 'training', 'evaluation', 'graph'];

/** Names have no stages of release here. */
const IGNORED = new Set([
  'ae-missing-release-tag',
  'ae-internal-missing-underscore',
  'tsdoc-param-tag-missing-hyphen',
]);

/**
 * What is wrong with the names of an entry: types that a signature mentions and that nobody can name, names without a
 * word about them, links into nothing, tags that are none.
 *
 * @param {string} entry one of `ENTRIES`
 * @param {string} model where the description of the names goes, as JSON for API Documenter
 * @returns {string[]}
 */
function faultsOf(entry, model) {
  const faults = [];
  const config = ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, 'package.json'),
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(root, `dist/${entry}.d.ts`),
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            target: 'ES2022',
            module: 'NodeNext',
            moduleResolution: 'NodeNext',
            strict: true,
            lib: ['ES2023', 'ESNext.Disposable', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
            types: ['node'],
            skipLibCheck: true,
          },
          files: [join(root, `dist/${entry}.d.ts`)],
        },
      },
      apiReport: { enabled: false },
      docModel: { enabled: true, apiJsonFilePath: model },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        extractorMessageReporting: { default: { logLevel: 'warning' } },
        tsdocMessageReporting: { default: { logLevel: 'warning' } },
      },
    },
  });
  Extractor.invoke(config, {
    localBuild: true,
    messageCallback(message) {
      message.handled = true;
      if (!['warning', 'error'].includes(message.logLevel)) return;
      if (IGNORED.has(message.messageId)) return;
      faults.push(`${message.sourceFilePath ?? entry}:${message.sourceFileLine ?? 0}: ${message.text}`);
    },
  });
  const [{ members }] = JSON.parse(readFileSync(model, 'utf8')).members;
  // A namespace has no comment of its own; its names have.
  const named = members.flatMap((member) => (member.kind === 'Namespace' ? member.members : [member]));
  const silent = named.filter(({ docComment }) => docComment === '');
  return [...faults, ...silent.map(({ name }) => `${entry}: nothing is said of ${name}`)];
}

/** isCheck: only says what is wrong, and writes nothing. */
function main(isCheck) {
  const pages = join(root, 'docs/api');
  if (!isCheck) rmSync(pages, { recursive: true, force: true });
  for (const entry of ENTRIES) {
    const folder = join(pages, entry);
    const model = mkdtempSync(join(tmpdir(), 'api-'));
    const faults = faultsOf(entry, join(model, `${entry}.api.json`));
    for (const fault of faults) console.error(fault);
    if (faults.length > 0) process.exitCode = 1;
    if (!isCheck) {
      const documenter = join(root, 'node_modules/@microsoft/api-documenter/bin/api-documenter');
      execFileSync(process.execPath, [documenter, 'markdown', '-i', model, '-o', folder]);
      console.log(`docs/api/${entry}/index.md`);
    }
    rmSync(model, { recursive: true });
  }
}

main(process.argv.includes('--check'));
