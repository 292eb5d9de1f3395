/**
 * Lays ONNX Runtime's binding into vendor/, from where it travels inside the package; with --remove takes it away.
 *
 * The package does not depend on onnxruntime-node, because that one has an install script: on Linux x64 it downloads
 * CUDA's libraries (some 300 MB, unasked, and not from the package registry), and where only the registry can be
 * reached the whole installation fails. npm runs such scripts up to version 11; from a package that depends on
 * onnxruntime-node nothing can be done about it: neither `overrides` nor an .npmrc travel with a package, and scripts
 * of bundled dependencies run as well. The files that the script does not download are the same for everybody: they
 * lie in onnxruntime-node for all platforms, and that is what is carried, without the script and its dependencies.
 * Where someone installs onnxruntime-node beside this package, with CUDA or without, that one is used
 * (src/engines/onnxruntime-node/installation.ts).
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const vendor = join(root, 'vendor');

rmSync(vendor, { recursive: true, force: true });
if (!process.argv.includes('--remove')) carry();

function carry() {
  const source = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const target = join(vendor, 'onnxruntime-node');
  const { name, version, license, main } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
  mkdirSync(target, { recursive: true });
  writeFileSync(
    join(target, 'package.json'),
    `${JSON.stringify({ name, version, license, main }, undefined, 2)}\n`,
  );
  // The package names its licence without the text.
  cpSync(join(root, 'scripts/onnxruntime-license.txt'), join(target, 'LICENSE'));
  cpSync(join(source, 'README.md'), join(target, 'README.md'));
  for (const file of readdirSync(join(source, 'dist'))) {
    if (file.endsWith('.js')) cpSync(join(source, 'dist', file), join(target, 'dist', file));
  }
  for (const entry of readdirSync(join(source, 'bin'), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !isCarried(entry)) continue;
    const path = join(entry.parentPath, entry.name);
    cpSync(path, join(target, relative(source, path)));
  }
}

/** What CUDA needs stays here, should it have been downloaded; and so does a second copy of what the binding loads. */
function isCarried({ name, parentPath }) {
  if (/^libonnxruntime_providers_/.test(name)) return false;
  const bytes = readFileSync(join(parentPath, name));
  const twins = readdirSync(parentPath).filter(
    (other) =>
      other !== name &&
      statSync(join(parentPath, other)).size === bytes.length &&
      readFileSync(join(parentPath, other)).equals(bytes),
  );
  return twins.length === 0 || readFileSync(join(parentPath, 'onnxruntime_binding.node')).includes(name);
}
