/** What the command says to requests that cannot be met: expected, found, what to do; and the exit code. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { copyModel, tinyModel, tinyTeacher, workspace } from './lcm.ts';

const { at, run, runWith } = workspace();
beforeAll(() => writeFileSync(at('notes.txt'), 'not a folder'));

const usage: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [['genrate', 'a fox'], /unknown command 'genrate' Did you mean generate\?; run "lcm --help"/],
  [
    ['a red fox', '--steps', '4'],
    /unknown command 'a red fox'; to draw it, run: lcm generate "a red fox"; "lcm --help" lists the commands/,
  ],
  [['generate', 'a fox', '--prompt', 'a hen'], /two prompts, "a fox" and --prompt "a hen": .* give it once/],
  [['generate'], /the prompt is empty: write what the picture should show/],
  [['generate', 'a', 'fox'], /too many arguments .* Expected 1 argument but got 2/],
  [['generate', ''], /the prompt is empty: write what the picture should show/],
  [['generate', ' \n'], /the prompt is empty/],
  [
    ['generate', 'a fox', '--stpes', '4'],
    /unknown option '--stpes' Did you mean --steps\?; run "lcm generate --help"/,
  ],
  [['generate', 'a fox', '--steps'], /option '--steps <n>' argument missing/],
  [['generate', 'a fox', '--steps', '0'], /--steps 0: expected a whole number from 1 to 10000/],
  [['generate', 'a fox', '--steps', 'four'], /--steps four: expected a whole number from 1 to 10000/],
  [['generate', 'a fox', '--steps', '2.5'], /--steps 2\.5: expected a whole number/],
  [
    ['generate', 'a fox', '--steps', '60'],
    /--steps 60: the model was distilled on a grid of 50 timesteps; use 1 to 50/,
  ],
  [['generate', 'a fox', '--guidance-scale', '-1'], /--guidance-scale -1: expected a number from 0 to 1000/],
  [['generate', 'a fox', '--guidance-scale', 'NaN'], /--guidance-scale NaN: expected a number/],
  [['generate', 'a fox', '--seed', 'abc'], /--seed abc: expected a whole number/],
  [['generate', 'a fox', '--seed', '1e3'], /--seed 1e3: expected a whole number/],
  [
    ['generate', 'a fox', '--seed', '99999999999999999999'],
    /--seed 99999999999999999999: expected a whole number/,
  ],
  [['generate', 'a fox', '--width', '65'], /--width 65: .* multiples of 8, up to 16384; use 64/],
  [['generate', 'a fox', '--height', '100000'], /--height 100000: expected a whole number from 1 to 16384/],
  [
    ['generate', 'a fox', '--prediction-type', 'v'],
    /--prediction-type v: expected one of epsilon, v_prediction, sample/,
  ],
  [
    ['generate', 'a fox', '--prediction-type', 'v_prediction'],
    /--prediction-type v_prediction: the scheduler_config\.json of .* says epsilon; leave the prediction type out/,
  ],
  [
    ['generate', 'a fox', '--config', 'sd15'],
    /--config sd15: .* is a diffusers directory, which has its own; only a single-file checkpoint takes another/,
  ],
  [['generate', 'a fox', '--num-images', '0'], /--num-images 0: expected a whole number from 1 to 100000/],
  [
    ['generate', 'a fox', '--num-images', '1000000000'],
    /to 100000; for more, draw again with another --seed/,
  ],
  [['generate', 'a fox', '--batch-size', '20000'], /to 10000; they are in memory together/],
  [['generate', 'a fox', '--threads', '0'], /--threads 0: expected a whole number from 1 to 1024/],
  [
    ['generate', 'a fox', '--replicas', '2'],
    /--replicas 2: they share a batch, and that has 1; use a --batch-size/,
  ],
  [
    ['generate', 'a fox', '--replicas', '2', '--batch-size', '2', '--low-memory'],
    /--replicas 2: with --low-memory one engine holds one network at a time; leave out one/,
  ],
  [
    ['generate', 'a fox', '--eta', '0.5'],
    /--eta 0\.5: only the schedulers ddim and tcd take it; this one is lcm/,
  ],
  [
    ['generate', 'a fox', '--scheduler', 'lmc'],
    /--scheduler lmc: expected one of lcm, .*; did you mean lcm\?/,
  ],
  [
    ['generate', 'a fox', '--engine', 'cpuu'],
    /--engine cpuu: expected one of cpu, webgpu, .*; did you mean cpu\?/,
  ],
  [
    ['generate', 'a fox', '--out', 'fox.jpg'],
    /--out fox\.jpg: pictures are written as PNG; use a name that ends in \.png/,
  ],
  [
    ['generate', 'a fox', '--out', 'notes.txt'],
    /--out notes\.txt: that is neither a folder nor a \.png file/,
  ],
  [
    ['dataset', 'postcrds', '--count', '3', '--out', 'd'],
    /unknown command 'postcrds' Did you mean postcards\?/,
  ],
  [['train', 'everything'], /unknown command 'everything'; run "lcm train --help" for what it takes/],
  [['dataset', 'postcards', '--out', 'd'], /required option '--count <n>' not specified/],
  [
    ['dataset', 'postcards', '--count', '3', '--out', 'd', '--split', 'tran'],
    /--split tran: expected one of train, .*; did you mean train\?/,
  ],
  [
    ['explain', 'consistency', '--model', tinyModel, '--columns', '60'],
    /--columns 60: expected a whole number from 2 to 50/,
  ],
  [
    ['explain', 'consistency', '--model', tinyModel, '--view', 'trajectory'],
    /--view trajectory: it is the teacher's; give the --teacher, or take the view noised/,
  ],
  [['train', 'autoencoder', '--part', 'decoder', '--out', 'd'], /name its folder with --initial/],
  [['train', 'autoencoder'], /--out is missing: name the folder/],
  [['info'], /missing required argument 'path'/],
];

describe('wrong usage ends with exit code 2 and one line', () => {
  it.each(usage)('%j', async (args, message) => {
    const [command, ...rest] = args;
    const model = command === 'generate' ? ['--model', tinyModel] : [];
    const { code, stdout, stderr } = await run(command!, ...model, ...rest);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^lcm: [^\n]*\n$/);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});

const damage: readonly (readonly [what: string, damage: (model: string) => void, message: RegExp])[] = [
  [
    'no such folder',
    (model) => rmSync(model, { recursive: true }),
    /there is no such folder; expected a diffusers directory/,
  ],
  [
    'no model_index.json',
    (model) => rmSync(join(model, 'model_index.json')),
    /model_index\.json: there is no such file/,
  ],
  [
    'model_index.json that is not JSON',
    (model) => writeFileSync(join(model, 'model_index.json'), '{"a":'),
    /model_index\.json is not valid JSON/,
  ],
  [
    'another kind of pipeline',
    (model) => edit(model, 'model_index.json', { _class_name: 'FluxPipeline' }),
    /is a FluxPipeline; supported are LatentConsistencyModelPipeline/,
  ],
  [
    'no UNet',
    (model) => rmSync(join(model, 'unet'), { recursive: true }),
    /unet\/config\.json: there is no such file/,
  ],
  [
    'no weights',
    (model) => rmSync(weights(model, 'vae')),
    /vae holds no weights: expected diffusion_pytorch_model\.safetensors/,
  ],
  [
    'a pickle',
    (model) => renameSync(weights(model, 'vae'), join(model, 'vae/diffusion_pytorch_model.bin')),
    /is a Python pickle, which can run any code/,
  ],
  [
    'weights that are cut off',
    (model) => truncateSync(weights(model, 'unet'), 100_000),
    /unet\/diffusion_pytorch_model\.safetensors/,
  ],
  [
    'weights that are empty',
    (model) => truncateSync(weights(model, 'unet'), 0),
    /unet\/diffusion_pytorch_model\.safetensors/,
  ],
  [
    'weights that are something else',
    (model) => writeFileSync(weights(model, 'unet'), 'hello, this is no safetensors file'),
    /unet\/diffusion_pytorch_model\.safetensors/,
  ],
  [
    'weights of another shape',
    (model) => edit(model, 'unet/config.json', { time_cond_proj_dim: 20 }),
    /the weight time_embedding\.cond_proj\.weight of \S+unet\S+ is stored with the shape \[12, 16\], the model's config asks for \[12, 20\]/,
  ],
  [
    'weights of another model',
    (model) => edit(model, 'text_encoder/config.json', { num_hidden_layers: 3 }),
    /text_encoder lacks 16 of the \d+ weights of the model: text_model\.encoder\.layers\.2\./,
  ],
  [
    'a UNet for another text encoder',
    (model) => edit(model, 'unet/config.json', { cross_attention_dim: 32 }),
    /cross_attention_dim is 32, but the text encoder's hidden_size is 24/,
  ],
  [
    'a setting that is not supported',
    (model) => edit(model, 'unet/config.json', { class_embed_type: 'timestep' }),
    /unet: .*class_embed_type is "timestep"/,
  ],
  [
    'a scheduler setting that is wrong',
    (model) => edit(model, 'scheduler/scheduler_config.json', { prediction_type: 'flow' }),
    /scheduler: .*prediction_type "flow" is not supported; supported: epsilon, v_prediction, sample/,
  ],
  [
    'no tokenizer',
    (model) => rmSync(join(model, 'tokenizer'), { recursive: true }),
    /tokenizer holds no tokenizer: expected vocab\.json and merges\.txt/,
  ],
  [
    'a tokenizer that is cut off',
    (model) => truncateSync(join(model, 'tokenizer/vocab.json'), 5000),
    /vocab\.json is not valid JSON|vocab\.json/,
  ],
];

describe('a damaged model ends with exit code 1, one line, and no picture', () => {
  it.each(damage)('%s', async (_, spoil, message) => {
    const model = copyModel(at());
    spoil(model);
    const { code, stdout, stderr } = await generate('--model', model, '--out', 'never/fox.png');
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^lcm: [^\n]*\n$/);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(existsSync(at('never'))).toBe(false);
  });
});

describe('where pictures cannot be written', () => {
  it('a folder below a file', async () => {
    const { code, stderr } = await generate('--model', tinyModel, '--out', 'notes.txt/fox.png');
    expect(stderr).toMatch(
      /^lcm: cannot write to notes\.txt: .*notes\.txt is a file, not a folder; choose another place with --out\n$/,
    );
    expect(code).toBe(1);
  });

  // The superuser may write everywhere.
  it.skipIf(process.getuid?.() === 0)('a folder without permission', async () => {
    mkdirSync(at('locked'), { mode: 0o555 });
    const { code, stderr } = await generate('--model', tinyModel, '--out', 'locked/fox.png');
    expect(stderr).toMatch(
      /^lcm: cannot write to locked: you may not create files; choose another place with --out\n$/,
    );
    expect(code).toBe(1);
  });

  it('a file that may not grow to the size of the picture', async () => {
    const small = at('small');
    mkdirSync(small);
    writeFileSync(join(small, 'fox.png'), 'what was there before');
    const { code, stderr } = await generateThrough(
      ['bash', '-c', 'ulimit -f 4 && exec "$@"', 'bash'],
      ...['--model', tinyModel, '--out', 'small/fox.png'],
    );
    expect(stderr).toMatch(/^lcm: cannot write small\/fox\.png: .*; .*\n$/);
    expect(code).toBe(1);
    expect(readdirSync(small)).toEqual(['fox.png']);
    expect(readFileSync(join(small, 'fox.png'), 'utf8')).toBe('what was there before');
  });

  const mount = ['unshare', '--user', '--map-root-user', '--mount'];
  const canMount =
    spawnSync(mount[0]!, [...mount.slice(1), 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;
  it.skipIf(!canMount)('a disk that is full', async () => {
    const disk = at('disk');
    mkdirSync(disk);
    const { code, stdout, stderr } = await generateThrough(
      [
        ...mount,
        'bash',
        '-c',
        `mount -t tmpfs -o size=8k tmpfs ${disk} && "$@"; code=$?; ls -A ${disk}; exit $code`,
        'bash',
      ],
      ...['--model', tinyModel, '--out', 'disk/fox.png'],
    );
    expect(stderr).toMatch(
      /^lcm: cannot write disk\/fox\.png: the disk is full; free some space or choose another folder\n$/,
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  });
});

it('prints where in the code it happened only when asked', async () => {
  const { stderr } = await generate('--model', 'nowhere', '--verbose');
  expect(stderr).toMatch(/^lcm: model nowhere: .*\nInputError: model nowhere: .*\n {4}at /);
});

it('refuses more steps than a teacher was trained on', async () => {
  const { code, stderr } = await generate('--model', tinyTeacher, '--steps', '2000');
  expect(stderr).toMatch(/^lcm: --steps 2000: .*1000/);
  expect(code).toBe(2);
});

function generate(...args: string[]) {
  return generateThrough([], ...args);
}

function generateThrough(through: readonly string[], ...args: string[]) {
  return runWith({ through }, 'generate', 'a red fox', '--seed', '7', ...args);
}

function weights(model: string, component: string): string {
  return join(model, component, 'diffusion_pytorch_model.safetensors');
}

function edit(model: string, file: string, changes: Record<string, unknown>): void {
  const path = join(model, file);
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changes }));
}
