import { expect, it } from 'vitest';
import { isSupported, missingForCuda, onnxRuntimeInstallation } from './installation.ts';

it('takes an onnxruntime-node from 1.30 on', () => {
  const versions = ['1.24.3', '1.29.9', '1.30.0', '1.30.0-dev.20260914', '1.31.2', '1.100.0', '2.0.0'];
  expect(versions.map(isSupported)).toEqual([false, false, true, true, true, true, false]);
});

it('takes the development dependency of a working copy', () => {
  const found = onnxRuntimeInstallation();
  expect(found.folder).toMatch(/node_modules[\\/]onnxruntime-node$/);
  expect(found.carried).toBe(false);
});

it.runIf(process.platform === 'linux')('says how the libraries for CUDA are installed', () => {
  const [folder, version] = ['/nowhere', '1.30.0'];
  expect(missingForCuda({ folder, version, carried: false })).toMatch(
    /run "ONNXRUNTIME_NODE_INSTALL=cuda12 node \/nowhere\/script\/install.js"/,
  );
  expect(missingForCuda({ folder, version, carried: true })).toMatch(
    /run "npm install onnxruntime-node", then "ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/,
  );
});
