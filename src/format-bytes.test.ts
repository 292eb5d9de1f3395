import { expect, it } from 'vitest';
import { formatBytes } from './format-bytes.ts';

it('writes sizes with three digits, whole bytes as they are', () => {
  expect([0, 999, 1500, 64e6, 5.234e9, 2.5e10, 640e9, 3e12].map(formatBytes)).toEqual([
    ...['0 B', '999 B', '1.50 kB', '64.0 MB', '5.23 GB', '25.0 GB', '640 GB', '3.00 TB'],
  ]);
});

it('rounds into the next unit, and knows no larger one than petabytes', () => {
  expect([999.7e3, 9.996e6, 99.97e6, 5e18].map(formatBytes)).toEqual([
    ...['1.00 MB', '10.0 MB', '100 MB', '5000 PB'],
  ]);
});
