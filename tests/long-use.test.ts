/** What `npm run soak` does for hours, for some seconds. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { longUse } from '../benchmarks/long-use.ts';

it('a pipeline in use by several at once, some of whom abort, makes no errors and the pictures of each alone', async () => {
  const model = fileURLToPath(new URL('./fixtures/golden/pipelines/lcm/model', import.meta.url));
  const seen: number[] = [];
  const { marks, ...rest } = await longUse({
    model,
    generations: 40,
    concurrency: 6,
    aborted: 0.5,
    compareEvery: 5,
    marks: [20],
    onMark: ({ generations }) => seen.push(generations),
  });
  expect(rest).toMatchObject({ generations: 40, compared: 8, different: [], errors: [] });
  expect(rest.aborted + rest.finishedFirst).toBeGreaterThan(10);
  expect(rest.aborted).toBeGreaterThan(0);
  expect(marks.map(({ generations }) => generations)).toEqual([0, 20, 40]);
  expect(seen).toEqual([0, 20, 40]);
});
