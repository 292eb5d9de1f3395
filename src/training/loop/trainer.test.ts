import { mkdir, mkdtemp, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Executable } from '../../engines/engine.ts';
import { InputError } from '../../errors.ts';
import { float32Data, type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { Ema } from '../update/ema.ts';
import { FlatParameters } from '../update/flat-parameters.ts';
import { AdamW } from '../update/optimizer.ts';
import { hostStepper } from '../update/stepper.ts';
import type { TrainingEvent } from './events.ts';
import { type Training, train } from './trainer.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'trainer-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** loss = ½ (x − target)² summed over two numbers; `poison` makes the loss of that target not a number. */
function quadratic(poison?: number): Executable {
  return {
    async run({ x, target }) {
      const goal = float32Data(target!)[0]!;
      const gradient = float32Data(x!).map((value) => value - goal);
      const loss = gradient.reduce((sum, d) => sum + d * d, 0) / 2;
      return {
        loss: hostTensor(Float32Array.of(goal === poison ? Number.NaN : loss), []),
        sample_loss: hostTensor(Float32Array.of(1, 3), [2]),
        'grad/x': hostTensor(gradient, [2]),
      };
    },
    async dispose() {},
  };
}

interface Parts {
  readonly executable?: Executable;
  readonly parameters?: FlatParameters;
}

interface TestTraining extends Training {
  readonly parameters: FlatParameters;
  readonly averages: { readonly ema: Ema };
  readonly events: TrainingEvent[];
}

function training(changes: Partial<Training> & Parts = {}): TestTraining {
  const {
    executable = quadratic(),
    parameters = new FlatParameters(new Map([['x', [2]]])),
    ...rest
  } = changes;
  const averages = { ema: new Ema(parameters, 0.9) };
  const optimizer = new AdamW(parameters, {
    betas: [0.9, 0.99],
    epsilon: 1e-8,
    weightDecay: 0,
    averages: [averages.ema],
  });
  const program = {
    run: async (inputs: Readonly<Record<string, HostTensor>>) => [await executable.run(inputs)],
    dispose: () => executable.dispose(),
  };
  const events: TrainingEvent[] = [];
  return {
    directory,
    steps: 6,
    stepper: hostStepper({ program, parameters, optimizer, averages }),
    parameters,
    averages,
    batch: async (step) => ({
      inputs: { target: hostTensor(Float32Array.of(step), []) },
      images: 2,
      groups: ['low', 'high'],
    }),
    learningRate: () => 0.1,
    cadence: { logEvery: 2, checkpointEverySteps: 3, checkpointEveryMinutes: 60, sampleEvery: 0 },
    onProgress: (event) => events.push(event),
    events,
    ...rest,
  };
}

function withoutTimes({ seconds, seconds_left, images_per_second, ...rest }: Record<string, number>) {
  return rest;
}

const records = async () =>
  (await readFile(join(directory, 'metrics.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('train', () => {
  it('updates, records means per interval and group, and keeps the newest checkpoint', async () => {
    const run = training();
    expect(await train(run)).toEqual({ step: 6, completed: true });
    expect(run.parameters.values[0]).not.toBe(0);
    const lines = await records();
    expect(lines.map(({ step }) => step)).toEqual([2, 4, 6]);
    expect(lines[0]).toMatchObject({ loss_low: 1, loss_high: 3, images: 4, learning_rate: 0.1 });
    expect(lines[0].loss).toBeGreaterThan(0);
    expect(await readdir(directory)).toEqual(['checkpoint-00000006', 'metrics.jsonl']);
  });

  it('keeps as many checkpoints as it is told', async () => {
    const cadence = { ...training().cadence, checkpointEverySteps: 1, keepCheckpoints: 3 };
    await train(training({ steps: 2, cadence }));
    expect(await readdir(directory)).toEqual([
      ...['checkpoint-00000001', 'checkpoint-00000002', 'metrics.jsonl'],
    ]);
    await train(training({ cadence }));
    expect(await readdir(directory)).toEqual([
      ...['checkpoint-00000004', 'checkpoint-00000005', 'checkpoint-00000006', 'metrics.jsonl'],
    ]);
  });

  it('makes one update of the gradients of several batches', async () => {
    const goal = (value: number) => ({
      inputs: { target: hostTensor(Float32Array.of(value), []) },
      images: 2,
      groups: ['low', 'high'],
    });
    const batch = async () => ({ ...goal(1), more: [goal(2), goal(6)], images: 6 });
    const run = training({ steps: 2, batch });
    await train(run);
    // The mean of the gradients is the gradient towards the mean of the targets.
    const whole = training({ directory: join(directory, 'whole'), steps: 2, batch: async () => goal(3) });
    await mkdir(whole.directory);
    await train(whole);
    for (const [i, value] of run.parameters.values.entries())
      expect(value).toBeCloseTo(whole.parameters.values[i]!, 6);
    const [record] = await records();
    expect(record).toMatchObject({ images: 12, loss_low: 1, loss_high: 3 });
  });

  it('stops when asked, and goes on to the values of an undisturbed run', async () => {
    const undisturbed = training();
    await train(undisturbed);
    await rm(directory, { recursive: true });

    const stop = new AbortController();
    const first = training({ signal: stop.signal });
    const stopping = {
      ...first,
      onProgress: ({ type, step }: { type: string; step?: number }) => {
        if (type === 'step' && step === 4) stop.abort();
      },
    };
    expect(await train(stopping as Training)).toEqual({ step: 4, completed: false });
    const second = training();
    await train(second);
    expect(second.events[0]).toEqual({ type: 'start', step: 4, steps: 6, resumed: true });
    expect(second.parameters.values).toEqual(undisturbed.parameters.values);
    expect(second.averages.ema!.parameters.values).toEqual(undisturbed.averages.ema!.parameters.values);
    expect((await records()).map(({ step }) => step)).toEqual([2, 4, 6]);
  });

  it('refuses a loss that is not a number and leaves the last checkpoint', async () => {
    const run = training({ executable: quadratic(4) });
    const error = await train(run).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(/step 5: .*loss NaN.*last checkpoint .* is of step 3/s);
    expect(await readdir(directory)).toContain('checkpoint-00000003');
  });

  it('passes on what goes wrong while a batch is made', async () => {
    const batch: Training['batch'] = async (step) => {
      if (step === 2) throw new InputError('the data set is gone');
      return training().batch(step);
    };
    await expect(train(training({ batch }))).rejects.toThrow('the data set is gone');
    expect(await readdir(directory)).toContain('checkpoint-00000002');
    const second = training();
    await train(second);
    expect(second.events[0]).toEqual({ type: 'start', step: 2, steps: 6, resumed: true });
    expect((await records()).map(({ step }) => step)).toEqual([2, 4, 6]);
  });

  it('does not wait for a batch when it is to stop, and says which step it finishes', async () => {
    const stop = new AbortController();
    const batch: Training['batch'] = (step) =>
      step < 2
        ? training().batch(step)
        : new Promise((_, reject) => stop.signal.addEventListener('abort', () => reject(stop.signal.reason)));
    const types: string[] = [];
    const waiting = training({
      batch,
      signal: stop.signal,
      cadence: { ...training().cadence, checkpointEverySteps: 2 },
      onProgress: ({ type }) => {
        types.push(type);
        // From then on it waits for the third batch.
        if (type === 'checkpoint') setTimeout(() => stop.abort());
      },
    });
    expect(await train(waiting)).toEqual({ step: 2, completed: false });
    expect(types).not.toContain('stopping');
    expect(await readdir(directory)).toContain('checkpoint-00000002');

    const later = new AbortController();
    const { run } = quadratic();
    const slow: Executable = {
      async run(inputs) {
        later.abort();
        return run(inputs);
      },
      async dispose() {},
    };
    const running = training({ executable: slow, signal: later.signal });
    expect(await train(running)).toEqual({ step: 3, completed: false });
    expect(running.events).toContainEqual({ type: 'stopping', step: 3 });
  });

  it('leaves nothing behind when it is stopped before its first step', async () => {
    const run = training({ signal: AbortSignal.abort() });
    expect(await train(run)).toEqual({ step: 0, completed: false });
    expect(await readdir(directory)).toEqual(['metrics.jsonl']);
  });

  it('draws the samples that a kill prevented', async () => {
    const cadence = { logEvery: 2, checkpointEverySteps: 2, checkpointEveryMinutes: 60, sampleEvery: 2 };
    const sampled: [step: number, again: boolean][] = [];
    const killed = training({
      cadence,
      onSample: async (step) => {
        if (step === 4) throw new Error('killed');
      },
    });
    await expect(train(killed)).rejects.toThrow('killed');
    await train(training({ cadence, onSample: async (...sample) => void sampled.push(sample) }));
    expect(sampled).toEqual([
      [4, true],
      [6, false],
    ]);
  });

  it('says so when the disk is full, and the same run goes on to the same records', async () => {
    await train(training());
    const undisturbed = (await records()).map(withoutTimes);
    await rm(directory, { recursive: true });
    await mkdir(directory);

    const path = join(directory, 'metrics.jsonl');
    const full: Training['batch'] = async (step) => {
      // Nothing can be appended to a folder.
      if (step === 3) {
        await rename(path, `${path}.old`);
        await mkdir(path);
      }
      return training().batch(step);
    };
    const error: unknown = await train(training({ batch: full })).catch((error) => error);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(
      /^cannot write .*metrics\.jsonl: there is a folder of that name/,
    );
    await rmdir(path);
    await rename(`${path}.old`, path);
    await train(training());
    expect((await records()).map(withoutTimes)).toEqual(undisturbed);
  });

  it('throws no record away of which something is missing', async () => {
    await train(training());
    const path = join(directory, 'metrics.jsonl');
    const whole = await readFile(path, 'utf8');
    await rename(join(directory, 'checkpoint-00000006'), join(directory, 'elsewhere'));
    await expect(train(training())).rejects.toThrow(
      /metrics\.jsonl records 6 steps of training, but there is no checkpoint beside it: bring the folder/,
    );
    expect(await readFile(path, 'utf8')).toBe(whole);
    await rename(join(directory, 'elsewhere'), join(directory, 'checkpoint-00000006'));
    for (const [line, message] of [
      ['nonsense', /metrics\.jsonl, line 2 is not valid JSON/],
      ['{"loss": 1}', /metrics\.jsonl, line 2: expected a record with a step/],
    ] as const) {
      const damaged = whole.replace(/\n/, `\n${line}\n`);
      await writeFile(path, damaged);
      await expect(train(training())).rejects.toThrow(message);
      expect(await readFile(path, 'utf8')).toBe(damaged);
    }
    await writeFile(path, `${whole}{"step": 7, "lo`);
    await train(training());
    expect(await readFile(path, 'utf8')).toBe(whole);
  });

  it.each<[string, (text: string) => string, RegExp]>([
    ['is empty', () => '', /state\.json is not valid JSON: column 1/],
    ['is null', () => 'null', /state\.json must hold a JSON object, found null/],
    ['is an empty object', () => '{}', /state\.json is damaged: expected step 6/],
    ['counts in words', (text) => text.replace(/"step": \d+/, '"step": "x"'), /is damaged/],
    ['is of another step', (text) => text.replace(/"step": \d+/, '"step": 5'), /is damaged/],
    ['has sums that are none', (text) => text.replace(/"sums": \{/, '"sums": {"a": "x",'), /is damaged/],
    ['has no interval', (text) => text.replace('"interval"', '"other"'), /is damaged/],
  ])('refuses a checkpoint whose state %s, and changes nothing', async (_, damage, message) => {
    await train(training());
    const path = join(directory, 'checkpoint-00000006', 'state.json');
    await writeFile(path, damage(await readFile(path, 'utf8')).replace(',}', '}'));
    const run = training();
    const before = run.parameters.values.slice();
    const failure = train(run);
    await expect(failure).rejects.toThrow(InputError);
    await expect(failure).rejects.toThrow(message);
    expect(run.parameters.values).toEqual(before);
    expect((await records()).map(({ step }) => step)).toEqual([2, 4, 6]);
  });

  it('refuses a checkpoint of another training', async () => {
    await train(training());
    const parameters = new FlatParameters(new Map([['y', [2]]]));
    const other = training({ parameters });
    await expect(train(other)).rejects.toThrow(/checkpoint-00000006 does not belong to this training/);
  });
});
