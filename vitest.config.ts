import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** What scripts/fetch-openvino.js brought, where the machine has no other. */
const fetched = fileURLToPath(new URL('build/openvino/openvino/libs', import.meta.url));

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'tests/**/*.test.ts'],
    // Against tests that hang, not to judge speed: a busy machine may take its time.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    pool: 'forks',
    maxWorkers: 2,
    env: process.env.OPENVINO_LIB === undefined && existsSync(fetched) ? { OPENVINO_LIB: fetched } : {},
  },
});
