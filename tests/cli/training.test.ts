/** The whole way on the command line, with tiny networks: pictures, autoencoder, diffusion, distillation, picture. */
import type { ChildProcess } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { decodePng } from '../../src/images/png.ts';
import { jsonLines, tinyModel, tinyTeacher, workspace } from './lcm.ts';

const { at, read, run, runWith } = workspace();
beforeAll(() => {
  write('autoencoder.json', {
    model: { block_out_channels: [8, 8, 8], norm_num_groups: 4 },
    cadence: { ...cadence, sampleEvery: 0 },
  });
  write('diffusion.json', {
    latents: { pictures: 64 },
    unet: {
      block_out_channels: [16, 16],
      down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D'],
      up_block_types: ['CrossAttnUpBlock2D', 'UpBlock2D'],
      attention_head_dim: [2, 2],
      transformer_layers_per_block: [1, 1],
      norm_num_groups: 4,
      cross_attention_dim: 16,
    },
    textEncoder: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2 },
    cadence: { ...cadence, sampleEvery: 0 },
  });
  write('distillation.json', { latents: { pictures: 64 }, cadence });
});

const cadence = { logEvery: 2, sampleEvery: 4, checkpointEverySteps: 2 };

it('writes postcards with captions, and completes a folder that was begun', async () => {
  await done('dataset', 'postcards', '--count', '3', '--out', 'pictures', '--split', 'test');
  const { stdout } = await done(
    ...['dataset', 'postcards', '--count', '5', '--out', 'pictures', '--split', 'test', '--json'],
  );
  expect(stdout.trimEnd().split('\n').at(-1)).toBe(
    '{"type":"done","directory":"pictures","written":2,"kept":3}',
  );
  const lines = readFileSync(at('pictures/metadata.jsonl'), 'utf8').trimEnd().split('\n');
  expect(lines).toHaveLength(5);
  expect(JSON.parse(lines[4]!)).toMatchObject({
    file_name: '00000004.png',
    text: expect.stringMatching(/\w/),
  });
});

it('shows settings and work without training anything', async () => {
  const { stdout } = await done(
    ...['train', 'autoencoder', '--config', 'autoencoder.json', '--steps', '9', '--dry-run', '--json'],
  );
  const plan = JSON.parse(stdout) as { config: { steps: number }; flopsPerStep: number; parameters: object };
  expect(plan).toMatchObject({
    type: 'plan',
    config: { steps: 9, model: { block_out_channels: [8, 8, 8] } },
    memory: expect.any(Number),
    disk: expect.any(Number),
    // It is small enough to be run.
    secondsPerStep: expect.any(Number),
  });
  expect(plan.flopsPerStep).toBeGreaterThan(1e6);
  expect(readdirSync(at())).not.toContain('runs');
});

it('trains, distils and draws', async () => {
  const four = ['--steps', '4', '--batch', '4'];
  await done('train', 'autoencoder', '--config', 'autoencoder.json', ...four, '--out', 'runs/ae');
  await done(
    ...['train', 'diffusion', '--vae', 'runs/ae/model', '--config', 'diffusion.json'],
    ...[...four, '--out', 'runs/ldm'],
  );
  const { stdout, stderr } = await done(...distillation('runs/lcm'));
  expect(stdout).toBe('runs/lcm/model  (after 4 steps)\n');
  expect(stderr).toMatch(/^step 2: gradient_norm .*, loss /m);
  const sheet = await decodePng(read('runs/lcm/samples/step-00000004.png'));
  expect([sheet.width, sheet.height]).toEqual([4 * (128 + 4) + 4, 2 * (128 + 4) + 4]);

  const drawn = await done('generate', 'a red tent', '--model', 'runs/lcm/model', '--out', 'tent.png');
  expect(drawn.stdout).toMatch(/^tent\.png {2}\(64×64, seed \d+\)\n/);
});

it('distils a LoRA, and shows what its teacher draws with it', async () => {
  write('lora.json', { ...settings('distillation.json'), lora: { rank: 2 }, cadence: { sampleEvery: 2 } });
  const two = ['--config', 'lora.json', '--steps', '2', '--batch', '2', '--threads', '1'];
  const { stderr } = await done('distill', '--teacher', 'runs/ldm/model', ...two, '--out', 'runs/lora');
  expect(stderr).toMatch(/^samples after step 2: runs.lora.samples.step-00000002\.png$/m);
  expect(readdirSync(at('runs/lora/model'))).toEqual(['pytorch_lora_weights.safetensors']);
});

it('loses nothing to a full disk: the same command goes on, and says what was full', async () => {
  const limited = (blocks: number) => ({
    through: ['bash', '-c', `ulimit -f ${blocks} && exec "$@"`, 'bash'],
  });
  // Blocks of 1024 bytes: too few for the latents of 64 pictures, then for a checkpoint.
  for (const [blocks, file] of [
    [60, 'latents.safetensors'],
    [140, 'checkpoint-00000002'],
  ] as const) {
    const { code, stderr } = await runWith(limited(blocks), ...distillation('runs/full'));
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`(^|\\n)lcm: cannot write runs.full.*${file}: the file would be larger than`),
    );
  }
  // Then there is no room for the sheet of samples.
  writeFileSync(at('runs/full/samples'), '');
  const { code, stderr } = await run(...distillation('runs/full'));
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /\nlcm: cannot write runs.full.samples.step-00000004\.png: a part of the path is a file/,
  );
  rmSync(at('runs/full/samples'));
  await done(...distillation('runs/full'));
  for (const file of ['model/unet/diffusion_pytorch_model.safetensors', 'samples/step-00000004.png']) {
    expect(read(`runs/full/${file}`)).toEqual(read(`runs/lcm/${file}`));
  }
});

it('keeps a checkpoint when the standard output cannot be written', async () => {
  if (process.platform !== 'linux') return;
  const { code, stderr } = await runWith(
    { through: ['bash', '-c', 'exec "$@" > /dev/full', 'bash'] },
    ...[...distillation('runs/unheard'), '--steps', '4000', '--json'],
  );
  expect([code, stderr]).toEqual([1, expect.stringMatching(/^lcm: standard output cannot be written/)]);
});

it('goes on after kill -9, bit for bit as if nothing had happened', async () => {
  const killed = await runWith(
    { once: { said: /"type":"checkpoint"/, act: (child) => child.kill('SIGKILL') } },
    ...[...distillation('runs/killed'), '--json'],
  );
  expect(killed.code).toBe(137);
  expect(existsSync(at('runs/killed/model/unet'))).toBe(false);
  const { stderr } = await done(...distillation('runs/killed'));
  expect(stderr).toMatch(/going on from step [2-4] of 4/);
  const weights = (name: string) =>
    readFileSync(at('runs', name, 'model/unet/diffusion_pytorch_model.safetensors'));
  expect(weights('killed').equals(weights('lcm'))).toBe(true);
});

it('stops at Ctrl-C with a checkpoint, also when a supervisor sends it twice', async () => {
  const twice = (child: ChildProcess) => {
    child.kill('SIGINT');
    setTimeout(() => child.kill('SIGINT'), 20);
  };
  const { code, stderr } = await runWith(
    { once: { said: /^step 2:/m, act: twice } },
    ...[...distillation('runs/stopped'), '--steps', '4000'],
  );
  expect(code).toBe(130);
  expect(stderr).toMatch(/lcm: cancelled\n/);
  expect(stderr).toMatch(/stopped after step \d+; the same command goes on from there\n$/);
  expect(readdirSync(at('runs/stopped')).filter((name) => /^checkpoint-\d+$/.test(name))).toHaveLength(1);
});

it('stops training an autoencoder at Ctrl-C, with a model that a few pictures have scaled', async () => {
  const { code, stderr } = await runWith(
    { once: { said: /^step 2:/m, act: (child) => child.kill('SIGINT') } },
    ...['train', 'autoencoder', '--config', 'autoencoder.json', '--batch', '4', '--steps', '4000'],
    ...['--threads', '1', '--out', 'runs/stopped-ae'],
  );
  expect(code).toBe(130);
  expect(stderr).toMatch(/reconstructions of 32 test pictures: PSNR .*\nstopped after step \d+; .*\n$/);
  const written = readdirSync(at('runs/stopped-ae'));
  expect(written.filter((name) => /^checkpoint-\d+$/.test(name))).toHaveLength(1);
  const config = readFileSync(at('runs/stopped-ae/model/vae/config.json'), 'utf8');
  expect(JSON.parse(config).scaling_factor).toBeGreaterThan(0);
});

it('goes on where the model cannot draw samples, and says why', async () => {
  cpSync(at('runs/ae/model'), at('cannot-draw'), { recursive: true });
  const file = at('cannot-draw/vae/diffusion_pytorch_model.safetensors');
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { data_offsets: number[] }
  >;
  bytes.writeFloatLE(Number.NaN, 8 + length + header['decoder.conv_in.bias']!.data_offsets[0]!);
  writeFileSync(file, bytes);
  write('sampled.json', { ...settings('diffusion.json'), cadence: { ...cadence, sampleEvery: 1 } });
  const { stderr } = await done(
    ...['train', 'diffusion', '--vae', 'cannot-draw', '--config', 'sampled.json'],
    ...['--steps', '2', '--batch', '4', '--out', 'runs/cannot-draw'],
  );
  expect(stderr).toMatch(
    /^lcm: warning: no samples after step 1: .*vae: the weight decoder\.conv_in\.bias holds NaN/m,
  );
  expect(existsSync(at('runs/cannot-draw/model/unet'))).toBe(true);
});

it('says what is wrong with settings', async () => {
  const cases: [args: string[], message: RegExp, code: number][] = [
    [
      ['train', 'diffusion', '--out', 'x'],
      /--vae is missing: name the folder that "lcm train autoencoder" wrote/,
      2,
    ],
    [['train', 'diffusion', '--vae', 'nowhere', '--out', 'x'], /nowhere/, 1],
    [['distill', '--out', 'x'], /--teacher is missing: name the folder of a diffusion model/, 2],
    [['distill', '--teacher', 'nowhere', '--out', 'x'], /nowhere/, 1],
    [
      ['distill', '--config', 'nowhere.json', '--out', 'x'],
      /--config: cannot read nowhere\.json: there is no such file; expected a JSON object with settings/,
      1,
    ],
    [
      ['train', 'autoencoder', '--config', 'wrong.json', '--out', 'x'],
      /there is no training setting "stpes"; there are .*steps/,
      2,
    ],
    [['distill', '--teacher', tinyTeacher, '--out', 'x'], /does not say which pictures it was trained on/, 2],
    [
      ['distill', '--teacher', tinyModel, '--config', 'postcards.json', '--out', 'x'],
      /is a latent consistency model already; distil the diffusion model that it came from/,
      2,
    ],
    [
      [...distillation('runs/lcm'), '--seed', '1'],
      /runs\/lcm holds a training with seed 0, asked for is 1; use the same settings/,
      2,
    ],
  ];
  write('wrong.json', { stpes: 3 });
  write('postcards.json', { data: { kind: 'postcards' } });
  for (const [args, message, code] of cases) {
    const result = await run(...args);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^lcm: [^\n]*\n$/);
    expect(result.code).toBe(code);
  }
  const { stdout, stderr, code } = await run('distill', '--config', 'wrong.json', '--teacher', 'x', '--json');
  expect(jsonLines(stdout)).toEqual([
    { type: 'error', code: 'invalid-setting', setting: 'stpes', message: expect.stringMatching(/"stpes"/) },
  ]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/^lcm: there is no training setting "stpes"/)]);
  expect(existsSync(at('x'))).toBe(false);
});

it('trains on a small folder of pictures, and only on the same when it goes on', async () => {
  const data = { path: 'pictures', resolution: 32 };
  const sampled = { ...cadence, sampleEvery: 2 };
  write('own-autoencoder.json', { ...settings('autoencoder.json'), data, cadence: sampled });
  write('own-diffusion.json', { ...settings('diffusion.json'), cadence: sampled });
  const two = ['--steps', '2', '--batch', '2', '--threads', '1'];
  const autoencoder = ['train', 'autoencoder', '--config', 'own-autoencoder.json', ...two, '--out', 'own/ae'];
  const trained = await done(...autoencoder);
  const reconstructions = await decodePng(read('own/ae/samples/step-00000002.png'));
  expect([reconstructions.width, reconstructions.height]).toEqual([5 * (64 + 4) + 4, 2 * (64 + 4) + 4]);
  // Measured once for the sheet and the model.
  expect(trained.stderr.match(/PSNR/g)).toHaveLength(1);
  expect(trained.stderr).toMatch(
    /^pictures: 5 pictures, 5 of them with a caption; 5 to train on, 0 kept for tests$/m,
  );
  expect(trained.stderr).toMatch(/^reconstructions of 5 training pictures: PSNR/m);
  // Of the data nothing is said here: they are those of the autoencoder.
  const diffusion = ['train', 'diffusion', '--vae', 'own/ae/model', '--config', 'own-diffusion.json'];
  await done(...diffusion, ...two, '--out', 'own/ldm');
  // The size that is drawn is that of the pictures; below stand the nearest of them.
  const sheet = await decodePng(read('own/ldm/samples/step-00000002.png'));
  expect([sheet.width, sheet.height]).toEqual([5 * (64 + 4) + 4, 2 * (64 + 4) + 4]);

  // The captions are none of the autoencoder's business.
  const metadata = readFileSync(at('pictures/metadata.jsonl'), 'utf8');
  writeFileSync(at('pictures/metadata.jsonl'), metadata.replace('"text":"', '"text":"not '));
  await done(...autoencoder);
  const recaptioned = await run(...diffusion, ...two, '--out', 'own/ldm');
  expect([recaptioned.code, recaptioned.stderr]).toEqual([
    2,
    expect.stringMatching(
      /lcm: the captions that the run in own\/ldm is trained on have changed since it began/,
    ),
  ]);
  writeFileSync(at('pictures/metadata.jsonl'), metadata);
  copyFileSync(at('pictures/00000001.png'), at('pictures/00000000.png'));
  const exchanged = await run(...autoencoder);
  expect([exchanged.code, exchanged.stderr]).toEqual([
    2,
    expect.stringMatching(
      /lcm: the pictures that the run in own\/ae is trained on have changed since it began/,
    ),
  ]);
});

it('goes on from models as they were trained', async () => {
  const plan = async (...args: string[]) => {
    const { stdout } = await done(...args, '--dry-run', '--json');
    const lines = jsonLines(stdout);
    return { config: lines.find(({ type }) => type === 'plan')?.config as Record<string, object>, lines };
  };
  const whole = { labels: 'auto', unconditional: false, buckets: null, crop: 'center', flip: false };
  const own = { ...whole, kind: 'folder', path: 'pictures', resolution: 32, captionColumn: null };
  expect((await plan('distill', '--teacher', 'own/ldm/model')).config.data).toEqual(own);
  write('larger.json', { data: { resolution: 64 } });
  const larger = await plan('distill', '--teacher', 'own/ldm/model', '--config', 'larger.json');
  expect(larger.config.data).toEqual({ ...own, resolution: 64 });

  const initial = ['train', 'diffusion', '--vae', tinyTeacher, '--config', 'initial.json'];
  write('initial.json', { initial: tinyTeacher, data: own });
  const { config } = await plan(...initial);
  const stored = JSON.parse(readFileSync(join(tinyTeacher, 'scheduler/scheduler_config.json'), 'utf8'));
  expect(config.predictionType).toBe(stored.prediction_type);
  expect(config.schedule).toMatchObject({ beta_end: stored.beta_end, beta_schedule: stored.beta_schedule });
  write('initial.json', { initial: tinyTeacher, data: own, predictionType: 'v_prediction' });
  expect((await plan(...initial)).config.predictionType).toBe('v_prediction');

  writeFileSync(at('pictures/extra.png'), read('pictures/00000001.png'));
  writeFileSync(at('pictures/extra.txt'), 'a very long caption '.repeat(30));
  const warned = await plan('distill', '--teacher', 'own/ldm/model');
  expect(warned.lines).toContainEqual({
    type: 'warning',
    message:
      '1 of 6 captions are longer than the 42 tokens that are read; what is beyond them is not trained on',
  });
  writeFileSync(at('pictures/extra.txt'), '');
  expect((await plan('distill', '--teacher', 'own/ldm/model')).lines).toContainEqual({
    type: 'warning',
    message: expect.stringMatching(
      /^5 of 6 pictures to train on have a caption; expected a text beside each/,
    ),
  });
  rmSync(at('pictures/extra.png'));
  rmSync(at('pictures/extra.txt'));
});

it('says how a training is doing, and where its model is', async () => {
  const { stdout } = await done('info', 'own/ldm');
  expect(stdout).toMatch(/^own.ldm: the folder of a training\n {2}done +2 of 2 steps\n {2}step 2 +loss /);
  expect(stdout).toMatch(/^ {2}data +kind folder, path pictures, resolution 32, labels auto/m);
  expect(stdout).toMatch(/^ {2}model +own.ldm.model$/m);
  const { stdout: json } = await done('info', 'own/ldm', '--json');
  expect(jsonLines(json)).toEqual([
    expect.objectContaining({ type: 'run', step: 2, settings: expect.objectContaining({ steps: 2 }) }),
  ]);
  const cases = [
    ['generate', 'a', '--model', 'own/ldm'],
    ['generate', 'a', '--model', tinyTeacher, '--lora', 'own/ldm'],
    ['generate', 'a', '--model', tinyTeacher, '--vae', 'own/ldm'],
    ['distill', '--teacher', 'own/ldm', '--out', 'x'],
    ['train', 'diffusion', '--vae', 'own/ldm', '--out', 'x'],
  ];
  for (const args of cases) {
    const { code, stderr } = await run(...args);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/lcm: .*own.ldm is the folder of a training; its model is own.ldm.model\n$/),
    ]);
  }
});

it('refuses sizes that latents do not fit', async () => {
  write('odd.json', { ...settings('autoencoder.json'), data: { path: 'pictures', resolution: 62 } });
  const { code, stderr } = await run('train', 'autoencoder', '--config', 'odd.json', '--dry-run');
  expect([code, stderr]).toEqual([2, expect.stringMatching(/62×62 pixels; expected multiples of 4,/)]);
});

function settings(name: string): object {
  return JSON.parse(readFileSync(at(name), 'utf8'));
}

function distillation(out: string): string[] {
  const settings = ['--config', 'distillation.json', '--steps', '4', '--batch', '4', '--threads', '1'];
  return ['distill', '--teacher', 'runs/ldm/model', ...settings, '--out', out];
}

/** Runs what has to succeed. */
async function done(...args: string[]) {
  const result = await run(...args);
  expect(result.code, result.stderr).toBe(0);
  return result;
}

function write(name: string, value: unknown): void {
  writeFileSync(at(name), JSON.stringify(value));
}
