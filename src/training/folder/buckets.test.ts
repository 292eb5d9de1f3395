import { expect, it } from 'vitest';
import { assignBuckets, bucketSizes } from './buckets.ts';

it('has sizes of multiples of the step, with no more pixels than the square', () => {
  const sizes = bucketSizes({ resolution: 512, step: 64 });
  expect(sizes).toContainEqual({ width: 512, height: 512 });
  expect(sizes).toContainEqual({ width: 384, height: 640 });
  expect(sizes).toContainEqual({ width: 1024, height: 256 });
  for (const { width, height } of sizes) {
    expect([width % 64, height % 64]).toEqual([0, 0]);
    expect(width * height).toBeLessThanOrEqual(512 * 512);
    // Not one step more would fit.
    expect(width * (height + 64) > 512 * 512 || height === 1024 || height * (width + 64) > 512 * 512).toBe(
      true,
    );
    expect(sizes).toContainEqual({ width: height, height: width });
  }
  expect(new Set(sizes.map(({ width, height }) => `${width}×${height}`)).size).toBe(sizes.length);
  // A step larger than half of the square leaves the square alone.
  expect(bucketSizes({ resolution: 64, step: 64 })).toEqual([{ width: 64, height: 64 }]);
});

it('gives each picture the size of its form, and small groups to the next one', () => {
  const pictures = [
    ...new Array(5).fill({ width: 1000, height: 1000 }),
    ...new Array(4).fill({ width: 1600, height: 1000 }),
    { width: 300, height: 900 },
    { width: 1000, height: 1010 },
  ];
  const assigned = assignBuckets(pictures, { resolution: 512, step: 64, least: 1 });
  expect(assigned[0]).toEqual({ width: 512, height: 512 });
  expect(assigned[5]).toEqual({ width: 640, height: 384 });
  expect(assigned[9]).toEqual({ width: 256, height: 832 });
  expect(assigned[10]).toEqual({ width: 512, height: 512 });
  const grouped = assignBuckets(pictures, { resolution: 512, step: 64, least: 4 });
  expect(grouped[9]).toEqual({ width: 512, height: 512 });
  expect(grouped[5]).toEqual({ width: 640, height: 384 });
  // Where all are too few together, one size remains.
  const all = assignBuckets(pictures, { resolution: 512, step: 64, least: 100 });
  expect(new Set(all).size).toBe(1);
});
