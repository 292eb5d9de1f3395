/** The process in which inputs are used one after the other, watched by the one that started it. */
import { setImmediate } from 'node:timers/promises';
import { type Attempt, attempt } from './attempt.ts';
import { kinds } from './kinds.ts';

/** From parent to child: use one input. */
export interface Order {
  readonly kind: string;
  readonly seed: number;
  readonly index: number;
  readonly folder: string;
}

/** From child to parent. */
export type Report = { readonly type: 'begun' } | { readonly type: 'done'; readonly attempt: Attempt };

let uncaught: string | undefined;
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    uncaught = `${event}: ${error instanceof Error ? error.stack : String(error)}`;
  });
}
process.on('disconnect', () => process.exit());

const report = (message: Report) => process.send!(message);

process.on('message', async ({ kind, seed, index, folder }: Order) => {
  report({ type: 'begun' });
  const found = kinds.find(({ name }) => name === kind)!;
  const result = await attempt(found, seed, index, folder).catch((error: Error): Attempt => {
    const fault = `the fuzzer itself: ${error.stack}`;
    return { outcome: 'refused', fault, seconds: 0, memory: 0 };
  });
  // What nobody waited for comes a turn later.
  await setImmediate();
  report({ type: 'done', attempt: uncaught === undefined ? result : { ...result, fault: uncaught } });
  uncaught = undefined;
});
