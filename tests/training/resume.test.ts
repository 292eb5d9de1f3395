/** A training that is killed and started again ends bit for bit where an undisturbed one ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const STEPS = 9;

/** Trains a tiny autoencoder in the folder argv[1] and writes every event as a line of JSON. */
const program = `
  import { createNodeEngine } from ${JSON.stringify(`${dist}/engines/onnxruntime-node/engine.js`)};
  import { train } from ${JSON.stringify(`${dist}/training/runs/recipe.js`)};
  import { autoencoderTraining } from ${JSON.stringify(`${dist}/training/runs/train-autoencoder.js`)};
  const engine = createNodeEngine({ threads: 1 });
  const cadence = { logEvery: 2, checkpointEverySteps: 3, checkpointEveryMinutes: 60, sampleEvery: 0 };
  const model = { block_out_channels: [8, 8], down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D'],
    up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D'], norm_num_groups: 4 };
  const stop = new AbortController();
  process.on('SIGTERM', () => stop.abort());
  await train(autoencoderTraining, await autoencoderTraining.configure({ steps: ${STEPS}, batch: 2, model, cadence }), {
    engine,
    directory: process.argv[1],
    signal: stop.signal,
    onProgress: (event) => process.stdout.write(JSON.stringify(event) + '\\n'),
  });
  await engine.dispose();
`;

interface Event {
  readonly type: string;
  readonly step?: number;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resume-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs the program until it ends; `onEvent` may interfere. */
async function run(directory: string, onEvent?: (event: Event, child: ChildProcess) => void) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, directory]);
  const events: Event[] = [];
  let errors = '';
  let rest = '';
  child.stderr.on('data', (data) => {
    errors += data;
  });
  child.stdout.on('data', (data) => {
    const lines = `${rest}${data}`.split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const event = JSON.parse(line) as Event;
      events.push(event);
      onEvent?.(event, child);
    }
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.on('close', (...ending) => resolve(ending)),
  );
  return { pid: child.pid, code, signal, events, errors };
}

async function outcome(directory: string) {
  const checkpoint = `checkpoint-${String(STEPS).padStart(8, '0')}`;
  expect((await readdir(directory)).sort()).toEqual([
    checkpoint,
    'config.json',
    'data.json',
    'metrics.jsonl',
    'model',
  ]);
  const text = await readFile(join(directory, 'metrics.jsonl'), 'utf8');
  const metrics = text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const { seconds, seconds_left, images_per_second, ...rest } = JSON.parse(line);
      expect([seconds, seconds_left, images_per_second].every((x) => typeof x === 'number')).toBe(true);
      return rest;
    });
  return {
    metrics,
    arrays: await readFile(join(directory, checkpoint, 'trainer.safetensors')),
    model: await readFile(join(directory, 'model/vae/diffusion_pytorch_model.safetensors')),
  };
}

describe('resuming', () => {
  it('after kill -9 and after a signal gives the same bytes as an undisturbed run', async () => {
    const whole = join(folder, 'whole');
    const undisturbed = await run(whole);
    expect(undisturbed.errors).toBe('');
    expect(undisturbed.code).toBe(0);
    const expected = await outcome(whole);
    expect(expected.metrics.map(({ step }) => step)).toEqual([2, 4, 6, 8, 9]);

    const broken = join(folder, 'broken');
    // Killed after a step that is recorded but in no checkpoint.
    const killed = await run(broken, (event, child) => {
      if (event.type === 'step' && event.step === 5) child.kill('SIGKILL');
    });
    expect(killed.signal).toBe('SIGKILL');
    // As if it had been writing just then.
    await mkdir(join(broken, `.model.${killed.pid}.partial`));
    await writeFile(join(broken, `.config.json.${killed.pid}.partial`), '{');
    await mkdir(join(broken, `.checkpoint-00000006.${killed.pid}.partial`));
    // Goes on from step 3; asked to stop, it writes a checkpoint that no cadence asked for.
    const stopped = await run(broken, (event, child) => {
      if (event.type === 'step' && event.step === 5) child.kill('SIGTERM');
    });
    expect(stopped.events.find(({ type }) => type === 'start')).toMatchObject({ step: 3, resumed: true });
    expect(stopped.events.findLast(({ type }) => type === 'end')).toMatchObject({
      type: 'end',
      completed: false,
    });
    const resumedAt = stopped.events.findLast(({ type }) => type === 'checkpoint')!.step!;
    expect(resumedAt).toBeGreaterThanOrEqual(5);
    const last = await run(broken);
    expect(last.events.find(({ type }) => type === 'start')).toMatchObject({
      step: resumedAt,
      resumed: true,
    });

    const actual = await outcome(broken);
    expect(actual.metrics).toEqual(expected.metrics);
    expect(actual.arrays.equals(expected.arrays)).toBe(true);
    expect(actual.model.equals(expected.model)).toBe(true);
  }, 300_000);

  it('is left to the process that is at it', async () => {
    const directory = join(folder, 'shared');
    let other: ReturnType<typeof run> | undefined;
    const first = await run(directory, (event) => {
      if (event.type === 'start') other = run(directory);
    });
    const { code, errors, events } = await other!;
    expect([first.code, code]).toEqual([0, 1]);
    expect(errors).toMatch(new RegExp(`the run in .*shared is in use by process ${first.pid}, since`));
    expect(events).toEqual([]);
    const { metrics } = await outcome(directory);
    expect(metrics.map(({ step }) => step)).toEqual([2, 4, 6, 8, 9]);
  }, 300_000);
});
