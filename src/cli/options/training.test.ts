import { Command } from 'commander';
import { expect, it } from 'vitest';
import { SettingError } from '../../errors.ts';
import { diffusionSettings } from '../../training/runs/diffusion-config.ts';
import { distillationSettings } from '../../training/runs/distillation-config.ts';
import { listSettings } from '../../training/runs/setting-list.ts';
import { withTrainingFlags } from './training.ts';

/** What the flags say, as settings. */
function settingsOf(...args: readonly string[]): unknown {
  let found: unknown;
  withTrainingFlags(new Command(), listSettings(distillationSettings))
    .exitOverride()
    .action(({ settings }) => {
      found = settings;
    })
    .parse(args, { from: 'user' });
  return found;
}

function refusal(...args: readonly string[]): SettingError {
  try {
    settingsOf(...args);
  } catch (error) {
    expect(error).toBeInstanceOf(SettingError);
    return error as SettingError;
  }
  throw new Error('nothing was refused');
}

it('make settings of the flags, and of --set for those without one', () => {
  const given = settingsOf(
    ...['--data', 'pictures', '--resolution', '128', '--crop', 'random', '--flip', '--epochs', '2.5'],
    ...['--batch', '4', '--accumulate', '8', '--lr-schedule', 'constant', '--warmup', '0'],
    ...['--lora-rank', '16', '--lora-alpha', '8', '--guidance', '1..4', '--distance', 'l2'],
    ...['--validation-prompt', 'a fox', '--validation-prompt', 'a hen', '--keep-checkpoints', '3'],
    ...['--set', 'optimizer.weightDecay=0.01', '--set', 'teacher=a=b', '--set', 'timeCondProjDim=null'],
  );
  expect(given).toEqual({
    data: { kind: 'folder', path: 'pictures', resolution: 128, crop: 'random', flip: true },
    epochs: 2.5,
    batch: 4,
    accumulate: 8,
    teacher: 'a=b',
    timeCondProjDim: null,
    optimizer: { schedule: { kind: 'constant', warmupSteps: 0 }, weightDecay: 0.01 },
    lora: { rank: 16, alpha: 8 },
    guidance: { min: 1, max: 4 },
    distance: { kind: 'l2' },
    validationPrompts: ['a fox', 'a hen'],
    cadence: { keepCheckpoints: 3 },
  });
});

it.each([
  [['--batch', '0'], 'batch', /^--batch 0: expected a whole number/],
  [['--solver', 'eular'], 'solver', /did you mean euler\?$/],
  [['--learning-rate', '0'], 'learningRate', /^--learning-rate 0: expected a number above 0$/],
  [['--set', 'optimizer.learninRate=1'], 'optimizer.learninRate', /did you mean optimizer\.learningRate\?$/],
  [['--set', 'rank=1'], 'rank', /did you mean lora\.rank\?$/],
  [['--set', 'frobnicate=1'], 'frobnicate', /docs\/training-settings\.md lists them$/],
  [['--set', 'batch'], 'set', /^--set batch: expected a setting and its value/],
])('refuse %j', (args, setting, message) => {
  expect(refusal(...args)).toMatchObject({ setting, message: expect.stringMatching(message) });
});

it('stand for settings that there are, and say what those say', () => {
  const listed = listSettings(diffusionSettings);
  const { options } = withTrainingFlags(new Command(), listed);
  const warmup = options.find(({ long }) => long === '--warmup')!;
  const { words } = listed.find(({ path }) => path === 'optimizer.schedule.warmupSteps')!;
  expect(warmup.description).toBe(`${words} (default: 150)`);
  expect(options.map(({ long }) => long)).not.toContain('--solver');
});
