/**
 * Brings OpenVINO's library for the tests into build/openvino, once, where a machine has pip but no OpenVINO: the wheel
 * is unpacked and nothing is installed. Where that does not work it says why, and the tests of that engine say that they
 * are left out.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findOpenVino } from '../dist/engines/openvino/installation.js';

const folder = fileURLToPath(new URL('../build/openvino', import.meta.url));
const found = findOpenVino().path ?? (existsSync(join(folder, 'openvino/libs')) ? folder : undefined);
if (found === undefined) fetchWheel();

function fetchWheel() {
  console.log('no OpenVINO here: fetching its wheel for the tests, 60 MB');
  const download = join(folder, 'download');
  mkdirSync(download, { recursive: true });
  const pip = ['-m', 'pip', 'download', 'openvino', '--no-deps', '--only-binary=:all:', '--quiet'];
  try {
    python([...pip, '--disable-pip-version-check', '--retries=1', '--timeout=20', '--dest', download]);
    const wheel = readdirSync(download).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new Error('pip gave no wheel');
    python(['-m', 'zipfile', '-e', join(download, wheel), folder]);
    rmSync(download, { recursive: true });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    console.log(`OpenVINO could not be fetched, its tests are left out: ${error.message}`);
  }
}

function python(args) {
  const command = process.platform === 'win32' ? 'python' : 'python3';
  const { error, status, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 });
  if (error) throw error;
  if (status !== 0) throw new Error(stderr.trim().split('\n').at(-1));
}
