/** The presets are settings, and docs/ways-to-a-consistency-model.md says of each what the table says. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { distillationRunConfig } from '../../src/training/runs/distillation-config.ts';
import { type Preset, presets } from '../../src/training/runs/presets.ts';

const text = readFileSync(
  fileURLToPath(new URL('../../docs/ways-to-a-consistency-model.md', import.meta.url)),
  'utf8',
);
const all: [string, Preset][] = Object.entries(presets);
const row = ([name, { words, source, reaches, cost }]: [string, Preset]) =>
  `| \`${name}\` | ${[words, source, reaches, cost].join(' | ')} |`;

it('the document has the table', () => {
  expect(text).toContain(all.map(row).join('\n'));
});

it.each(all)('%s is made of settings that go together', (preset, { settings }) => {
  const config = distillationRunConfig({ preset, teacher: 'sd15' });
  expect(config).toMatchObject(settings);
});

it('what is said beside a preset takes precedence', () => {
  const config = distillationRunConfig({
    ...{ preset: 'style-lora', teacher: 'sd15', batch: 1, lora: { rank: 4, alpha: 2 } },
    ...{ pairs: { kind: 'lognormal' }, optimizer: { learningRate: 1e-3 } },
  });
  expect(config).toMatchObject({
    ...{ batch: 1, lora: { rank: 4, alpha: 2, layers: 'attention' }, pairs: { kind: 'lognormal' } },
    optimizer: { learningRate: 1e-3, schedule: { kind: 'constant', warmupSteps: 100 } },
  });
});

it('settings that do not go together are refused', () => {
  const given = { teacher: 'sd15' };
  const refused = (settings: object) => () => distillationRunConfig({ ...given, ...settings });
  expect(refused({ preset: 'lmc' })).toThrow(/"preset" is "lmc"; expected .*"lcm"/);
  expect(refused({ lora: { rank: 4 }, stepBack: 'data' })).toThrow(/"lora": a LoRA is distilled/);
  expect(refused({ lora: { rank: 4 }, start: 'random' })).toThrow(/"start": a LoRA is added/);
  expect(refused({ lora: { rank: 4 }, objective: 'output' })).toThrow(/"objective": a LoRA has nothing/);
  expect(refused({ pairs: { kind: 'karras' } })).toThrow(/"pairs.kind": a teacher steps along the grid/);
  expect(refused({ pairs: { kind: 'uniform' } })).toThrow(/"pairs.kind": /);
  expect(refused({ distance: { kind: 'huber', c: null } })).toThrow(/"distance.c": huber needs a number/);
});
