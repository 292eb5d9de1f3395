/**
 * Where OpenVINO lies. No package of npm brings it without a download of its own, so it is whatever the machine has:
 * Python's wheel (in whose folder `libs` lies all that is needed, without Python), a system's package, Homebrew, or an
 * archive that was unpacked.
 */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { InputError } from '../../errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Names a library file, or a folder with it, in place of all that is looked at otherwise. */
export const LIBRARY_VARIABLE = 'OPENVINO_LIB';

/** Where it is looked for, in this order. */
const origins = {
  setUp: 'INTEL_OPENVINO_DIR',
  archive: 'archives in the folders that Intel names',
  activePython: 'the active Python environment',
  venv: '.venv and venv',
  python: "Pythons' site-packages",
  homebrew: "Homebrew's folders",
  system: "the system's folders of libraries",
} as const;

/** Where it was looked for in vain, and how to get it. */
export const notFound =
  `not found in ${[LIBRARY_VARIABLE, ...Object.values(origins)].join(', ')}; ` +
  'get it with "pip install openvino", "apt install openvino", "brew install openvino" or an archive, ' +
  `or name its folder of libraries in ${LIBRARY_VARIABLE}`;

/** A folder, and how somebody would call what installs OpenVINO there. */
interface Place {
  readonly folder: string;
  readonly origin: string;
}

export interface OpenVinoSearch {
  /** The library with the C interface; undefined where there is none. */
  readonly path: string | undefined;
  /** How it came to be there. */
  readonly origin: string | undefined;
}

/** The library. Throws InputError, with the places that were looked at, where there is none. */
export function openVinoLibrary(environment: Environment = process.env): string {
  const { path } = findOpenVino(environment);
  if (path !== undefined) return path;
  throw new InputError(`OpenVINO was ${notFound}`);
}

/** Looks for it. Throws InputError when OPENVINO_LIB names something else. */
export function findOpenVino(environment: Environment = process.env): OpenVinoSearch {
  const named = environment[LIBRARY_VARIABLE];
  if (named) {
    const path = libraryAt(named);
    if (path === undefined) {
      throw new InputError(
        `${LIBRARY_VARIABLE} is ${named}; expected ${pattern.example} or a folder with it, such as site-packages/openvino/libs`,
      );
    }
    return { path, origin: LIBRARY_VARIABLE };
  }
  const places = [...archives(environment), ...wheels(environment), ...systemFolders()];
  for (const { folder, origin } of places) {
    const path = libraryIn(folder);
    if (path !== undefined) return { path, origin };
  }
  return { path: undefined, origin: undefined };
}

const patterns: Readonly<
  Partial<Record<NodeJS.Platform, { readonly file: RegExp; readonly example: string }>>
> = {
  darwin: { file: /^libopenvino_c(\.\d+)*\.dylib$/, example: 'libopenvino_c.dylib' },
  win32: { file: /^openvino_c\.dll$/i, example: 'openvino_c.dll' },
};
const pattern = patterns[process.platform] ?? {
  file: /^libopenvino_c\.so(\.\d+)*$/,
  example: 'libopenvino_c.so',
};

/** The file itself, or the one in a folder. */
function libraryAt(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  return statSync(path).isDirectory() ? libraryIn(path) : path;
}

function libraryIn(folder: string): string | undefined {
  // The longest name is that of a version; the others are links to it.
  const [name] = entriesOf(folder)
    .filter((entry) => pattern.file.test(entry))
    .sort((a, b) => b.length - a.length);
  return name === undefined ? undefined : join(folder, name);
}

/** Where archives are unpacked: what their setupvars script names, and the folders that Intel's instructions use. */
function archives(environment: Environment): Place[] {
  const below =
    process.platform === 'win32'
      ? ['runtime/bin/intel64/Release', 'runtime/bin/arm64/Release']
      : process.platform === 'darwin'
        ? ['runtime/lib/arm64/Release', 'runtime/lib/intel64/Release']
        : ['runtime/lib/intel64', 'runtime/lib/aarch64', 'runtime/lib/arm64'];
  const usual =
    process.platform === 'win32'
      ? ['C:\\Program Files (x86)\\Intel', 'C:\\Program Files\\Intel', 'C:\\Intel']
      : ['/opt/intel', join(homedir(), 'intel')];
  const under = (origin: string) => (root: string) =>
    below.map((path) => ({ folder: join(root, path), origin }));
  const { INTEL_OPENVINO_DIR: named } = environment;
  return [
    ...(named ? under(origins.setUp)(named) : []),
    ...usual.flatMap((folder) => foldersIn(folder, /^openvino/i)).flatMap(under(origins.archive)),
  ];
}

/** pip's wheel: in the environment that is active, in those of this folder, then where the PATH's and others' Pythons are. */
function wheels(environment: Environment): Place[] {
  const home = homedir();
  const active = [environment.VIRTUAL_ENV, environment.CONDA_PREFIX].filter((prefix) => prefix !== undefined);
  const others =
    process.platform === 'win32'
      ? [
          ...foldersIn(join(environment.LOCALAPPDATA ?? '', 'Programs', 'Python'), /^Python3/),
          ...foldersIn(join(environment.APPDATA ?? '', 'Python'), /^Python3/),
        ]
      : [
          ...pythonPrefixes(environment.PATH),
          join(home, '.local'),
          ...foldersIn(join(home, '.pyenv/versions'), /^3/),
          ...foldersIn(join(home, 'Library/Python'), /^3/),
          ...['/usr/local', '/usr', '/opt/homebrew', '/home/linuxbrew/.linuxbrew'],
        ];
  const from = (origin: string) => (prefix: string) =>
    sitePackages(prefix).map((folder) => ({ folder: join(folder, 'openvino', 'libs'), origin }));
  return [
    ...active.flatMap(from(origins.activePython)),
    ...['.venv', 'venv'].flatMap(from(origins.venv)),
    ...others.flatMap(from(origins.python)),
  ];
}

/** What lies above the folders of the PATH that have a Python, also where those are links. */
function pythonPrefixes(path = ''): string[] {
  return path.split(delimiter).flatMap((folder) => {
    const python = join(folder, 'python3');
    return folder !== '' && existsSync(python)
      ? [dirname(folder), dirname(dirname(realpathSync(python)))]
      : [];
  });
}

function sitePackages(prefix: string): string[] {
  if (process.platform === 'win32')
    return [join(prefix, 'Lib', 'site-packages'), join(prefix, 'site-packages')];
  return [join(prefix, 'lib'), join(prefix, 'lib64')].flatMap((lib) =>
    foldersIn(lib, /^python3/).flatMap((folder) =>
      ['site-packages', 'dist-packages'].map((name) => join(folder, name)),
    ),
  );
}

/** What apt, dnf and Homebrew install. */
function systemFolders(): Place[] {
  if (process.platform === 'win32') return [];
  const multiarch = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
  const homebrew = ['/opt/homebrew/lib', '/usr/local/opt/openvino/lib', '/home/linuxbrew/.linuxbrew/lib'];
  const system = [`/usr/lib/${multiarch}`, '/usr/lib64', '/usr/lib', '/usr/local/lib', '/usr/local/lib64'];
  return [
    ...homebrew.map((folder) => ({ folder, origin: origins.homebrew })),
    ...system.map((folder) => ({ folder, origin: origins.system })),
  ];
}

function foldersIn(folder: string, name: RegExp): string[] {
  // The newest first.
  const names = entriesOf(folder).filter((entry) => name.test(entry));
  return names
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
    .map((entry) => join(folder, entry));
}

/** None where there is no such folder, or one that is not to be read. */
function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return [];
    throw error;
  }
}
