/**
 * Where ONNX Runtime's binding for Node lies. An onnxruntime-node that is installed beside this package is taken when
 * it is recent enough: that is the way to CUDA, and the development dependency of a working copy. Otherwise it is the
 * copy that the package carries in vendor/, which scripts/carry-onnxruntime.js makes and gives the reasons for.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InputError } from '../../errors.ts';

/** The first version with all that is used here, and the first that is not known to have it. */
const SUPPORTED = { from: [1, 30], below: [2, 0] } as const;

export interface OnnxRuntimeInstallation {
  /** To be required. */
  readonly folder: string;
  readonly version: string;
  /** It came with this package: Microsoft's files for every platform, without those for CUDA. */
  readonly carried: boolean;
}

/** Throws InputError when there is none, or none for this platform. */
export function onnxRuntimeInstallation(): OnnxRuntimeInstallation {
  const found = installed() ?? carried();
  if (!found) {
    throw new InputError(
      'ONNX Runtime is not there: neither an onnxruntime-node 1.30 or newer nor the copy in vendor/ that the package ' +
        'comes with; install the package anew, or run "npm install onnxruntime-node"',
    );
  }
  const platform = `${process.platform}/${process.arch}`;
  if (!existsSync(join(found.folder, 'bin/napi-v6', platform))) {
    throw new InputError(
      `ONNX Runtime ${found.version} has no build for ${process.platform} on ${process.arch}; there are linux x64 and ` +
        'arm64, macOS arm64, Windows x64 and arm64',
      { code: 'unsupported' },
    );
  }
  return found;
}

/**
 * What is missing for CUDA in an installation, and how to get it; undefined where nothing is. Microsoft's files for CUDA
 * are too large for the package registry: onnxruntime-node's own script downloads them.
 */
export function missingForCuda({ folder, carried }: OnnxRuntimeInstallation): string | undefined {
  const path = join(folder, 'bin/napi-v6', process.platform, process.arch);
  if (process.platform !== 'linux' || existsSync(join(path, 'libonnxruntime_providers_cuda.so')))
    return undefined;
  const script = join(carried ? 'node_modules/onnxruntime-node' : folder, 'script/install.js');
  const install = carried ? 'run "npm install onnxruntime-node", then' : 'run';
  return `CUDA's libraries are not installed; for CUDA 12 ${install} "ONNXRUNTIME_NODE_INSTALL=cuda12 node ${script}"`;
}

function installed(): OnnxRuntimeInstallation | undefined {
  let manifest: string;
  try {
    manifest = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
  const version = versionIn(manifest);
  return isSupported(version) ? { folder: dirname(manifest), version, carried: false } : undefined;
}

function carried(): OnnxRuntimeInstallation | undefined {
  const folder = fileURLToPath(new URL('../../../vendor/onnxruntime-node', import.meta.url));
  const manifest = join(folder, 'package.json');
  return existsSync(manifest) ? { folder, version: versionIn(manifest), carried: true } : undefined;
}

function versionIn(manifest: string): string {
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

export function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const reaches = ([wantedMajor, wantedMinor]: readonly [number, number]) =>
    major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  return reaches(SUPPORTED.from) && !reaches(SUPPORTED.below);
}
