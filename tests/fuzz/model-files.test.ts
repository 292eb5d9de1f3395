/**
 * Damaged configurations and tokenizers: a model is read as far as it makes sense, or refused with InputError.
 * FUZZ_RUNS sets the number of inputs.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { it } from 'vitest';
import { loadComponents } from '../../src/components/components.ts';
import { InputError } from '../../src/errors.ts';
import { selectFiles } from '../../src/hub/node/select-files.ts';
import { readLora } from '../../src/weights/lora-file.ts';
import type { Weights } from '../../src/weights/weights.ts';
import { readsOrRefuses } from './reads-or-refuses.ts';

const numRuns = Number(process.env.FUZZ_RUNS ?? 300);
const folder = fileURLToPath(new URL('../fixtures/golden/pipelines/lcm/model', import.meta.url));
const originals = new Map(
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(folder, path)).isFile() && !path.endsWith('.safetensors'))
    .map((path) => [path.replaceAll('\\', '/'), readFileSync(join(folder, path), 'utf8')]),
);
const classes = new Map([
  ['unet', 'UNet2DConditionModel'],
  ['vae', 'AutoencoderKL'],
  ['text_encoder', 'CLIPTextModel'],
  ['scheduler', 'LCMScheduler'],
]);

const place = fc.double({ min: 0, max: 1, noNaN: true });
const fragment = fc.constantFrom(
  ...['{', '}', '[', ']', ',', ':', '"', '\\', 'null', 'true', '0', '-1', '1e999', '0.5', '{}', '[]', '"x"'],
  ...[
    'NaN',
    'Infinity',
    '[null]',
    '9007199254740993',
    '"\\ud800"',
    '"__proto__":{},',
    '\u0000',
    '\ufeff',
    ' ',
  ],
);

/** Replaces what follows a place in the text, up to a few characters, or one whole value of the JSON. */
const damage = fc.oneof(
  fc.tuple(place, fc.nat(12), fragment).map(([where, removed, inserted]) => (text: string) => {
    const start = Math.floor(where * text.length);
    return text.slice(0, start) + inserted + text.slice(start + removed);
  }),
  fc.tuple(place, fc.oneof(fragment, fc.json({ maxDepth: 2 }))).map(([where, inserted]) => (text: string) => {
    const start = text.indexOf(':', Math.floor(where * text.length));
    return start < 0
      ? inserted
      : text.slice(0, start + 1) + text.slice(start + 1).replace(/[^,}\n]*/, inserted);
  }),
  place.map((where) => (text: string) => text.slice(0, Math.floor(where * text.length))),
);

const damagedFile = fc.tuple(
  fc.constantFrom(...originals.keys()),
  fc.array(damage, { minLength: 1, maxLength: 2 }),
);

function fuzz<T>(inputs: fc.Arbitrary<T>, read: (input: T) => Promise<unknown>): Promise<void> {
  return readsOrRefuses(inputs, read, numRuns);
}

it(`reads or refuses ${numRuns} models with a damaged file`, async () => {
  await fuzz(damagedFile, ([path, damages]) => {
    const text = damages.reduce((damaged, apply) => apply(damaged), originals.get(path)!);
    const read = (name: string) => (name === path ? text : originals.get(name));
    const parsed = (name: string): unknown => {
      try {
        return JSON.parse(read(name) ?? '');
      } catch (cause) {
        throw new InputError(`${name} is not JSON`, { cause });
      }
    };
    return loadComponents({
      location: 'damaged',
      pipelineClass: 'LatentConsistencyModelPipeline',
      classes,
      network: async (component) => ({
        location: `damaged/${component}`,
        config: parsed(`${component}/config.json`),
        weights: new Map(),
      }),
      text: async (name) => read(name),
    });
  });
});

it(`selects or refuses the files of ${numRuns} damaged indices`, async () => {
  const index = originals.get('model_index.json')!;
  const names = [
    ...originals.keys(),
    ...['unet', 'vae'].map((name) => `${name}/diffusion_pytorch_model.safetensors`),
  ];
  names.push('text_encoder/model.safetensors');
  await fuzz(fc.array(damage, { maxLength: 2 }), (damages) => {
    const text = damages.reduce((damaged, apply) => apply(damaged), index);
    return selectFiles('a/b', names, async () => text, {});
  });
});

it(`reads or refuses ${numRuns} damaged settings of a LoRA`, async () => {
  const settings = JSON.stringify({
    'unet.r': 4,
    'unet.lora_alpha': 8,
    'unet.use_rslora': false,
    'unet.use_dora': false,
    'unet.alpha_pattern': { fc: 2 },
  });
  const weights: Weights = new Map(
    ['A', 'B'].map((factor) => [
      `unet.mid.fc.lora_${factor}.weight`,
      { dtype: 'float32', shape: [1, 1], storage: { kind: 'bytes', bytes: new Uint8Array(4) } },
    ]),
  );
  await fuzz(fc.array(damage, { maxLength: 2 }), async (damages) => {
    const text = damages.reduce((damaged, apply) => apply(damaged), settings);
    readLora(weights, { lora_adapter_metadata: text }, 'damaged.safetensors');
  });
});
