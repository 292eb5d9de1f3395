/**
 * Every command in the documentation, run in the order in which it stands there, on tiny models under the names that
 * the text uses; and every example of the library. A command that cannot be run here fails.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { CommanderError } from 'commander';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { commands } from '../../src/cli/commands/index.ts';
import { parse } from '../../src/cli/main.ts';
import { decodePng, readPictureSettings, readPngText } from '../../src/index.ts';
import { startHubOfSeveral } from '../hub/hub-of-several.ts';
import { temporaryFolder } from './lcm.ts';
import { type Command, commandsOf, examplesOf, inlineCodeOf, strayCommandsOf } from './markdown.ts';
import {
  autoencoderFile,
  checkpoints,
  copyOf,
  folderOf,
  fp16Variant,
  inpaintingDirectory,
  lora,
  models,
  picture,
  type StandIn,
  sharded,
} from './stand-ins.ts';

// A minute on two quiet cores; a busy machine may take many.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const root = fileURLToPath(new URL('../..', import.meta.url));
const documents = [
  'README.md',
  ...readdirSync(join(root, 'docs'), { encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** Files and folders that the documentation takes for granted, by their names in it. */
const standIns: Readonly<Record<string, StandIn>> = {
  'dreamshaper-lcm': copyOf(models.lcm),
  sd15: copyOf(models.sd),
  sdxl: copyOf(models.sdxl),
  'sd15-fp16': fp16Variant(models.sd, { plain: false }),
  'sdxl-sharded': sharded,
  'sd15-inpainting': inpaintingDirectory,
  'dreamshaper_8.safetensors': checkpoints.sd1,
  'v2-1_768-ema-pruned.safetensors': checkpoints.sd2,
  'sd_xl_base_1.0.safetensors': checkpoints.sdxl,
  'sd-v1-5-inpainting.safetensors': checkpoints.sd1Inpainting,
  'old.ckpt': async (path) => writeFileSync(path, 'a pickle'),
  'pixel-art.safetensors': lora(models.sd, 'peft'),
  'my-lcm/unet_lora': folderOf('pytorch_lora_weights.safetensors', lora(models.sd, 'lcm-script')),
  'loras/watercolour': folderOf('watercolour.safetensors', lora(models.sd, 'kohya')),
  'sd-vae-ft-mse': copyOf(join(models.sd, 'vae')),
  'vae-ft-mse-840000-ema-pruned.safetensors': autoencoderFile,
  'sketch.png': picture((x, y) => [4 * x, 4 * y, 128]),
  'house.png': picture((x, y) => [255 - 4 * x, 2 * y, 64]),
  'door.png': picture((x, y) => (x > 24 && x < 40 && y > 20 ? [255, 255, 255] : [0, 0, 0])),
  'from-the-web.png': picture((x) => [x, x, x], {
    parameters: 'a fox\nSteps: 4, Sampler: Euler a, CFG scale: 7, Seed: 7, Size: 64x64, Model: v1-5-pruned',
  }),
  'models/postcards': copyOf(join(root, 'models/postcards')),
  'runs/autoencoder/model': copyOf(join(root, 'models/postcards')),
  // docs/training.md
  'own.json': async (path) => writeFileSync(path, '{"data": {"path": "pictures"}}'),
  pictures: folderOf(
    'cat.png',
    picture((x, y) => [x, y, 0]),
  ),
  'runs/own-autoencoder/model': trained('models/postcards'),
  'runs/own-diffusion/model': trained(models.sd),
  'runs/diffusion/model': trained(models.sd),
  'runs/lcm/model': copyOf(models.lcm),
  'runs/smaller/model': trained(models.sd),
  // README.md
  'path/to/a/diffusers/directory': copyOf(models.sd),
  DIR: copyOf(models.lcm),
  'model.safetensors': checkpoints.sd1,
  'style.safetensors': lora('model.safetensors', 'kohya'),
  clip: copyOf(join(models.lcm, 'tokenizer')),
  'picture.png': picture((x) => [x, x, x], { parameters: 'a fox\nSteps: 4' }),
};

/** A model in the folder of its run, which says which pictures it was trained on. */
function trained(model: string): StandIn {
  return async (path) => {
    await copyOf(resolve(root, model))(path);
    writeFileSync(join(path, '../config.json'), '{"data": {"kind": "postcards"}}');
    writeFileSync(join(path, '../metrics.jsonl'), '');
  };
}

/** Repositories on the hub. */
const repositories: Readonly<Record<string, StandIn>> = {
  'SimianLuo/LCM_Dreamshaper_v7': copyOf(models.lcm),
  'stabilityai/stable-diffusion-xl-base-1.0': fp16Variant(models.sdxl, { plain: true }),
  'someone/old-model': copyOf(models.sd),
  'someone/merges': folderOf('merge-a.safetensors', checkpoints.sd1),
  'openai/clip-vit-large-patch14': copyOf(join(models.lcm, 'tokenizer')),
  'latent-consistency/lcm-lora-sdv1-5': folderOf('pytorch_lora_weights.safetensors', copyOf(models.lcmLora)),
  'latent-consistency/lcm-lora-sdxl': folderOf('pytorch_lora_weights.safetensors', lora(models.sdxl, 'peft')),
  'latent-consistency/lcm-sdxl': copyOf(models.lcmSdxlUNet),
  'stabilityai/sd-vae-ft-mse': copyOf(join(models.sd, 'vae')),
  'madebyollin/taesd': copyOf(models.taesd),
};

interface Exception {
  readonly command: RegExp;
  readonly instead: (args: readonly string[]) => readonly string[];
  /** The command is not run; only its options are checked. */
  readonly parsedOnly?: boolean;
}

/** Commands that are run in another form; the reason stands beside each. */
const exceptions: readonly Exception[] = [
  // Hours of training. A dry run reads the settings and the models, and plans the work.
  { command: /^(train|distill)\b/, instead: (args) => [...args, '--dry-run'] },
  // Four postcards are as good as a thousand.
  { command: /^dataset postcards\b/, instead: (args) => args.with(args.indexOf('--count') + 1, '4') },
  // Minutes, with models that were trained for it; tests/cli/evaluate.test.ts runs both on tiny ones.
  { command: /^(evaluate|explain)\b/, instead: (args) => args, parsedOnly: true },
  // OpenVINO is not on every machine; tests/cli/openvino.test.ts runs it where it is.
  { command: /^generate .*--engine openvino/, instead: (args) => args, parsedOnly: true },
  // It starts processes of the built command and measures the machine; tests/cli/doctor.test.ts runs it.
  { command: /^doctor\b/, instead: (args) => args, parsedOnly: true },
  // An eighth along each side: as many tiles, and no larger than the stand-ins are made for.
  {
    command: /^generate .*--(tile-size 512|width 384)/,
    instead: (args) => args.map((arg) => ({ 1024: '128', 512: '64', 384: '48' })[arg] ?? arg),
  },
  // Tiny as they are, single files are drawn at their family's size, 512 pixels or more.
  {
    command: /^generate (?!.*--(width|image|from) ).*--model \S*\.safetensors/,
    instead: (args) => [...args, '--width', '64', '--height', '64'],
  },
];

/** Lines in the documentation that are not commands of this package. */
const otherCommands =
  /^((pip|brew) install openvino|npm (ci|test|pack|install \S+|run \w+( -- [\w ]+)?|run fuzz --( --(count|seed|kind|index|state) \S+)+)|(GOLDEN_ERRORS=1 )?npx vitest run \S+|sudo apt-get install .*|export \w+=\S+)$/;

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
}

async function run(args: readonly string[], parsedOnly = false): Promise<Outcome> {
  const said = { stdout: '', stderr: '' };
  const listen = (stream: 'stdout' | 'stderr') =>
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      said[stream] += String(text);
      return true;
    });
  const spies = [listen('stdout'), listen('stderr')];
  try {
    await (parsedOnly ? parseOptions(args) : parse(args, new AbortController().signal));
  } catch (error) {
    if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return said;
}

async function parseOptions([name, ...args]: readonly string[]): Promise<void> {
  const command = await commands.find((entry) => entry.name === name)!.load(new AbortController().signal);
  for (const each of [command, ...command.commands]) each.exitOverride().action(() => {});
  await command.parseAsync(args, { from: 'user' });
}

/** The files of a folder and of those in it. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    statSync(join(folder, path)).isFile(),
  );
}

/** The value of an option, if it is given. */
function optionOf(args: readonly string[], option: string): string | undefined {
  return args.includes(option) ? args[args.indexOf(option) + 1] : undefined;
}

/** What each command leaves behind. */
const checks: Readonly<Record<string, (args: readonly string[], outcome: Outcome) => unknown>> = {
  async generate(args, { stdout }) {
    const count = Number(optionOf(args, '--num-images') ?? 1);
    const written = [...stdout.matchAll(/^(.+\.png) {2}\((\d+)×(\d+), seed (\d+)\)$/gm)];
    expect(written).toHaveLength(count);
    const out = optionOf(args, '--out');
    for (const [i, [, path, width, height, seed]] of written.entries()) {
      if (out?.endsWith('.png')) expect(path).toBe(count === 1 ? out : out.replace('.png', `-${i + 1}.png`));
      else expect(dirname(path!)).toBe((out ?? '.').replace(/\/$/, ''));
      const file = readFileSync(path!);
      const image = await decodePng(file);
      expect([image.width, image.height]).toEqual([Number(width), Number(height)]);
      const settings = readPictureSettings(await readPngText(file))!;
      expect(settings.seed).toBe(Number(seed));
      if (args.includes('--seed')) expect(settings.seed).toBe(Number(optionOf(args, '--seed')) + i);
      if (args[1] && !args[1].startsWith('-')) expect(settings.prompt).toBe(args[1]);
      for (const name of ['steps', 'strength', 'eta', 'scheduler', 'guidance-scale', 'negative-prompt']) {
        const field = name.replace(/-(.)/, (_, letter: string) => letter.toUpperCase());
        const value = optionOf(args, `--${name}`);
        if (value !== undefined) expect(String(settings[field as keyof typeof settings])).toBe(value);
      }
    }
  },
  async convert(args) {
    const { stdout } = await run(['info', optionOf(args, '--out')!]);
    expect(stdout).toContain(`of ${optionOf(args, '--dtype') ?? 'float16'}`);
  },
  pull: (_, { stdout }) => expect(statSync(stdout.trimEnd()).isDirectory()).toBe(true),
  info(args, { stdout }) {
    expect(stdout).not.toBe('');
    if (args.includes('--json')) expect(JSON.parse(stdout)).toHaveProperty('type');
  },
  async plot(args) {
    const sheet = await decodePng(readFileSync(optionOf(args, '--out') ?? 'plot.png'));
    expect(sheet.width).toBeGreaterThan(64);
  },
  doctor: () => {},
  dataset: (args, { stdout }) =>
    args[1] === 'check'
      ? expect(stdout).toMatch(/^ {2}training +\d+ pictures? at/m)
      : expect(existsSync(join(optionOf(args, '--out')!, 'metadata.jsonl'))).toBe(true),
  train: (_, { stdout }) => expect(stdout).toMatch(/parameters/),
  distill: (_, { stdout }) => expect(stdout).toMatch(/parameters/),
  evaluate: () => {},
  explain: () => {},
  '--help': (_, { stdout }) => expect(stdout).toMatch(/^Usage: lcm/),
};

describe.each(documents)('%s', (document) => {
  const markdown = readFileSync(join(root, document), 'utf8');
  const temporary = temporaryFolder();
  const before = process.cwd();
  let hub: Awaited<ReturnType<typeof startHubOfSeveral>>;

  beforeAll(async () => {
    process.chdir(temporary.path);
    for (const [path, write] of Object.entries(standIns).filter(([name]) => markdown.includes(name))) {
      mkdirSync(dirname(path), { recursive: true });
      await write(path);
    }
    const served = new Map<string, Map<string, Buffer>>();
    for (const [id, write] of Object.entries(repositories).filter(([name]) => markdown.includes(name))) {
      const folder = join('hub', id);
      await write(folder);
      const files = filesIn(folder).map((path): [string, Buffer] => [path, readFileSync(join(folder, path))]);
      served.set(id, new Map(files));
    }
    hub = await startHubOfSeveral(served);
    for (const name of ['HF_HOME', 'HF_TOKEN', 'HF_HUB_OFFLINE', 'HUGGINGFACE_HUB_CACHE'])
      vi.stubEnv(name, '');
    vi.stubEnv('HF_HUB_CACHE', join(temporary.path, 'cache'));
    vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await hub.close();
    process.chdir(before);
    temporary.remove();
  });

  it('has its commands in shell blocks', () => expect(strayCommandsOf(markdown)).toEqual([]));

  it('names commands and options that there are', async () => {
    const loaded = await Promise.all(commands.map(({ load }) => load(new AbortController().signal)));
    const all = loaded.flatMap((command) => [command, ...command.commands]);
    const options = new Set(['--help', ...all.flatMap((command) => command.options.map(({ long }) => long))]);
    const names = loaded.map((command) => command.name());
    for (const text of inlineCodeOf(markdown)) {
      for (const [option] of text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)) {
        expect(options, `${text} has options of lcm`).toContain(option);
      }
      const command = /^(?:npx )?lcm ([a-z]+)/.exec(text);
      if (command) expect(names).toContain(command[1]);
    }
  });

  const isOwn = ({ words }: Command) => words[0] === 'lcm' || (words[0] === 'npx' && words[1] === 'lcm');
  const [own, others] = [true, false].map((wanted) =>
    commandsOf(markdown)
      .filter((command) => isOwn(command) === wanted)
      .map((command): [string, Command] => [`line ${command.line}: ${command.text}`, command]),
  );
  it.each(others!)('%s is known', (_, { text }) => expect(text).toMatch(otherCommands));

  it.each(own!)('%s', async (_, command) => {
    const given = command.words.slice(command.words.indexOf('lcm') + 1);
    if (command.comment.startsWith('refused')) {
      await expect(run(given)).rejects.toThrow(/only safetensors are read/);
      return;
    }
    const exception = exceptions.find((each) => each.command.test(given.join(' ')));
    const args = exception?.instead(given) ?? given;
    const outcome = await run(args, exception?.parsedOnly);
    expect(outcome.stderr).not.toMatch(/warning/);
    const check = checks[args[0]!];
    expect(check, `the results of lcm ${args[0]} are checked here`).toBeDefined();
    if (!exception?.parsedOnly) await check!(args, outcome);
  });

  it.each(examplesOf(markdown))('the example in line $line runs', async ({ line, text }) => {
    const library = JSON.stringify(join(root, 'src/index.ts'));
    const file = join(temporary.path, `${basename(document, '.md')}-${line}.ts`);
    writeFileSync(file, text.replace("'latent-consistency'", library));
    vi.stubGlobal('show', () => {});
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    log.mockRestore();
    vi.unstubAllGlobals();
  });
});
