/** Whoever writes TypeScript with the package can name every type that its signatures mention, and read what it is. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../scripts/api.js', import.meta.url));

it('every entry can be read by API Extractor without a complaint', { timeout: 300_000 }, async () => {
  // It exits with 1, and says what is wrong, when there is something.
  const { stderr } = await promisify(execFile)(process.execPath, [script, '--check']);
  expect(stderr).toBe('');
});
