/** docs/supported.md against the code: what its tables say is what is accepted and refused. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { engineNames } from '../src/cli/options/engine.ts';
import { supportedClasses } from '../src/components/components.ts';
import { createSampler, type SamplerRequest, schedulerNames } from '../src/components/scheduler.ts';
import {
  readSamplerConfig,
  type SamplerKind,
  samplerKind,
  samplerKinds,
} from '../src/diffusion/samplers/index.ts';
import { pictureFormats } from '../src/images/formats/picture-header.ts';
import { autoencoderKLConfig } from '../src/models/autoencoder-kl.ts';
import { autoencoderTinyConfig } from '../src/models/autoencoder-tiny.ts';
import { clipTextConfig } from '../src/models/clip-text.ts';
import {
  KERNELS,
  LAYERS,
  LEVELS,
  MOST_BLOCKS,
  POSITIONS,
  SIDES,
  VOCABULARY,
  WIDTHS,
} from '../src/models/limits.ts';
import { unet2DConditionConfig } from '../src/models/unet-2d-condition-config.ts';

const markdown = readFileSync(fileURLToPath(new URL('../docs/supported.md', import.meta.url)), 'utf8');

/** The cells of the first table under a heading, or the n-th, without its head. */
function table(heading: string, index = 0): string[][] {
  const section = markdown.split(/^#+ /m).find((text) => text.startsWith(`${heading}\n`));
  expect(section, `a section "${heading}"`).toBeDefined();
  const tables = section!.split(/\n{2,}/).filter((part) => part.startsWith('|'));
  return tables[index]!.trim()
    .split('\n')
    .slice(2)
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text!);
/** As in JSON, where words that are not among its own are texts. */
const parsed = (text: string): unknown =>
  /^(null|true|false|-?\d+(\.\d+)?)$/.test(text) ? JSON.parse(text) : text;

it('names the pipelines', () => {
  expect(table('Pipelines').flatMap(([name]) => quoted(name!))).toEqual(supportedClasses);
});

it('says the bounds of numbers', () => {
  const words = markdown.replaceAll('\n', ' ');
  for (const text of [
    `${LEVELS.most} levels, ${WIDTHS.most} channels, ${LAYERS.most} layers in one place and ${MOST_BLOCKS} in a network`,
    `${VOCABULARY.most} tokens in a vocabulary and ${POSITIONS.most} in a prompt`,
    `sides of ${SIDES.most}, kernels up to ${KERNELS.most}`,
  ]) {
    expect(words).toContain(text);
  }
  const timesteps = Number(/(\d+) training timesteps/.exec(words)?.[1]);
  const read = (length: number) => () => readSamplerConfig('ddim', { num_train_timesteps: length });
  expect(read(timesteps)).not.toThrow();
  expect(read(timesteps + 1)).toThrow(/num_train_timesteps/);
});

it('names the engines', () => {
  expect(table('Engines').map(([name]) => quoted(name!)[0])).toEqual(engineNames);
});

it('names the formats of pictures', () => {
  expect(table('Files').find(([what]) => what === 'pictures')![1]).toBe(pictureFormats.join(', '));
});

const configurations: Readonly<Record<string, (json: unknown) => object>> = {
  UNet2DConditionModel: unet2DConditionConfig,
  AutoencoderKL: autoencoderKLConfig,
  AutoencoderTiny: autoencoderTinyConfig,
  CLIPTextModel: clipTextConfig,
};

describe.each(Object.entries(configurations))('the fields of %s', (name, read) => {
  const fields = table(name).flatMap(([names, supported]) =>
    quoted(names!).map((field) => ({ field, supported: supported! })),
  );
  const refusal = (json: object): string => {
    try {
      read(json);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  it('are all there, once each', () => {
    const names = fields.map(({ field }) => field);
    expect(new Set(names).size).toBe(names.length);
    const used = fields.filter(({ supported }) => /^(any|one of)/.test(supported)).map(({ field }) => field);
    expect(used.sort()).toEqual(Object.keys(read({})).sort());
  });

  it.each(fields)('$field: $supported', ({ field, supported }) => {
    const nonsense = 'something else';
    const values = quoted(supported);
    if (supported === 'ignored') {
      expect(refusal({ [field]: nonsense })).toBe('');
    } else if (supported.startsWith('only')) {
      expect(values).toHaveLength(1);
      expect(refusal({ [field]: parsed(values[0]!) })).toBe('');
      expect(refusal({ [field]: nonsense })).toContain(
        `${field} is "${nonsense}"; expected ${JSON.stringify(parsed(values[0]!))}`,
      );
    } else {
      const message = refusal({ [field]: nonsense });
      expect(message).toContain(`${field} is "${nonsense}"`);
      expect(message).not.toContain('no such field');
      if (!supported.startsWith('one of')) return;
      // The message lists what there is.
      const listed = message.slice(message.indexOf('expected')).match(/"[^"]*"|\bnull\b/g);
      expect(listed?.map((text) => JSON.parse(text))).toEqual(values.map(parsed));
    }
  });

  it('are the only ones', () => {
    expect(refusal({ another_field: 3 })).toContain('another_field is 3; expected no such field');
    expect(refusal({ another_field: null, _another: 3 })).toBe('');
  });
});

describe('samplers', () => {
  const rows = table('Samplers').map(([name, className, options]) => ({
    name: quoted(name!)[0]!,
    className: quoted(className!)[0]!,
    options: quoted(options!),
  }));

  it('are all there', () => {
    expect(rows.map(({ name }) => name)).toEqual(schedulerNames);
    expect(new Set(rows.map(({ className }) => samplerKind(className)))).toEqual(new Set(samplerKinds));
  });

  it.each(rows)('$name takes $options', ({ name, options }) => {
    const make = (request: Partial<SamplerRequest>) => () =>
      createSampler(
        schedulerNames.find((known) => known === name)!,
        {},
        { steps: 4, batchSize: 1, ...request },
      );
    const offered = { timesteps: [999, 499], originalSteps: 100, eta: 0.5 };
    for (const [option, value] of Object.entries(offered)) {
      if (options.includes(option)) expect(make({ [option]: value })).not.toThrow();
      else expect(make({ [option]: value })).toThrow(/are for the schedulers|only the schedulers/);
    }
  });

  const common = table('Samplers', 1).flatMap(([names, supported]) =>
    quoted(names!).map((field) => ({ field, values: quoted(supported!) })),
  );

  it.each(table('Samplers', 2))('fields of %s', (name, own, refused) => {
    const kind = quoted(name)[0] as SamplerKind;
    const fields = [...common.map(({ field }) => field), ...quoted(own!)];
    expect(fields.sort()).toEqual(Object.keys(readSamplerConfig(kind, {})).sort());
    // "`field` is `one value`, `another` or `a third`; `another field` is …"
    const restricted = refused!.split(';').map(quoted);
    const rules = restricted.filter(([field]) => field !== undefined);
    for (const { field, values } of common.filter(({ values }) => values.length > 0)) {
      if (!rules.some(([other]) => other === field)) rules.push([field, ...values]);
    }
    for (const [field, ...values] of rules as [string, ...string[]][]) {
      for (const value of values) readSamplerConfig(kind, { [field]: parsed(value) });
      expect(() => readSamplerConfig(kind, { [field]: 'other' })).toThrow(
        `${field} "other" is not supported by the ${kind} sampler; supported: ${values.join(', ')}`,
      );
    }
  });
});
