import { describe, expect, it } from 'vitest';
import { UsageError } from '../../errors.ts';
import type { GenerationOptions } from '../options/generation.ts';
import { axisOption, requireDistinct } from './axes.ts';
import { cellsOf, groupByModel, type PlotAxes } from './cells.ts';

const [x, y, z] = [axisOption('--x'), axisOption('--y'), axisOption('--z')];
const options: GenerationOptions = { model: 'm', engine: 'cpu', precision: 'float32', seed: 7 };
const cells = (axes: PlotAxes, prompt = 'a fox', given: Partial<GenerationOptions> = {}) =>
  cellsOf(axes, { prompt, options: { ...options, ...given } });

describe('axes', () => {
  it.each([
    ['steps=1-3', 'steps', [1, 2, 3]],
    ['guidance-scale=1,7.5', 'guidanceScale', [1, 7.5]],
    ['seed=-2,5', 'seed', [-2, 5]],
    ['strength=0.2-0.6 [3]', 'strength', [0.2, 0.4, 0.6]],
    ['eta=0,1', 'eta', [0, 1]],
    ['width=64', 'width', [64]],
    ['scheduler=lcm,dpm++', 'scheduler', ['lcm', 'dpm++']],
    ['model=a,b/c', 'model', ['a', 'b/c']],
    ['unet=none,u', 'unet', [undefined, 'u']],
    ['vae=none,v', 'vae', [undefined, 'v']],
    ['negative-prompt="",blurry', 'negativePrompt', ['', 'blurry']],
    ['clip-skip=0-2', 'clipSkip', [0, 1, 2]],
    ['guidance-rescale=0-1 [3]', 'guidanceRescale', [0, 0.5, 1]],
    ['timesteps="999,499","999"', 'timesteps', [[999, 499], [999]]],
    [
      'crop-top-left="0,0","0,64"',
      'cropTopLeft',
      [
        [0, 0],
        [0, 64],
      ],
    ],
  ] as const)('%s sets its option', (text, option, values) => {
    const recipes = cells({ x: x(text) }).map(({ recipe }) => recipe);
    expect(recipes.map((recipe) => recipe.options[option])).toEqual(values);
    expect(recipes.every((recipe) => recipe.options.engine === 'cpu' && recipe.prompt === 'a fox')).toBe(
      true,
    );
  });

  it('sets both sides of a size', () => {
    const sizes = cells({ x: x('size=64x96,32×32') }).map(({ recipe }) => recipe.options);
    expect(sizes).toMatchObject([
      { width: 64, height: 96 },
      { width: 32, height: 32 },
    ]);
  });

  it('combines every value with every other, and keeps the rest', () => {
    const all = cells({ x: x('steps=1,2'), y: y('seed=3-5'), z: z('eta=0,1') });
    expect(all).toHaveLength(12);
    expect(all.at(-1)).toMatchObject({
      column: 1,
      row: 2,
      grid: 1,
      recipe: { prompt: 'a fox', options: { steps: 2, seed: 5, eta: 1 } },
    });
  });

  it('replaces words of the prompts, after prompts of an axis', () => {
    const replaced = cells({ x: x('prompt-sr=fox,hen,""'), y: y('prompt="a fox, red",no fox') }, 'unused', {
      negativePrompt: 'fox hunt',
    }).map(({ recipe }) => [recipe.prompt, recipe.options.negativePrompt]);
    expect(replaced).toEqual([
      ['a fox, red', 'fox hunt'],
      ['a hen, red', 'hen hunt'],
      ['a , red', ' hunt'],
      ['no fox', 'fox hunt'],
      ['no hen', 'hen hunt'],
      ['no ', ' hunt'],
    ]);
    const twice = cells({ x: x('prompt-sr=red,blue'), y: y('prompt-sr=fox,hen') }, 'a red fox');
    expect(twice.map(({ recipe }) => recipe.prompt)).toEqual([
      ...['a red fox', 'a blue fox', 'a red hen', 'a blue hen'],
    ]);
  });

  it('puts LoRAs beside those that are given, each with its strength', () => {
    const lora = [{ path: 'lcm', strength: 1 }];
    const found = cells({ x: x('lora-weight=0.5,1'), y: y('lora=style:0.3,none') }, 'a fox', { lora });
    expect(found.map(({ recipe }) => recipe.options.lora)).toEqual([
      [...lora, { path: 'style', strength: 0.5 }],
      [...lora, { path: 'style', strength: 1 }],
      lora,
      lora,
    ]);
    const only = cells({ x: x('lora-weight=0.5') }, 'a fox', { lora });
    expect(only[0]!.recipe.options.lora).toEqual([{ path: 'lcm', strength: 0.5 }]);
    expect(() => cells({ x: x('lora-weight=0.5') })).toThrow(
      /--x lora-weight=0.5: expected one LoRA .* found none/,
    );
    expect(() => cells({ x: x('lora-weight=0.5') }, 'a fox', { lora: [...lora, ...lora] })).toThrow(
      /found 2/,
    );
  });

  it('keeps together what one model draws, and within it what has one size', () => {
    const groups = groupByModel(cells({ x: x('model=a,b'), y: y('size=8x8,16x16'), z: z('steps=1,2') }));
    expect(groups.map((group) => group.map(({ recipe: { options: o } }) => `${o.model}${o.width}`))).toEqual([
      ['a8', 'a8', 'a16', 'a16'],
      ['b8', 'b8', 'b16', 'b16'],
    ]);
  });

  it.each([
    ['stpes=1', /--x stpes=1: there is no axis "stpes"; expected one of .*\. Did you mean steps\?/],
    ['steps', /--x steps: expected values after it/],
    ['steps=', /expected values after it/],
    ['', /--x "": there is no axis/],
    ['steps=0', /--x steps 0: expected a whole number from 1 to 10000/],
    ['steps=1,x', /--x steps x: expected a whole number/],
    ['steps=0-4', /--x steps 0: expected/],
    ['steps=1,,2', /--x steps "": expected/],
    ['strength=0.5,2', /--x strength 2: expected a number above 0, up to 1/],
    ['scheduler=lmc', /--x scheduler lmc: expected one of lcm, .*did you mean lcm/],
    ['size=64', /--x size=64: expected width and height/],
    ['size=0x8', /--x size 0: expected a whole number from 1 to 16384/],
    ['prompt-sr="",a', /--x prompt-sr=: .* first the words to search for/],
  ])('refuses %s', (text, message) => {
    expect(() => x(text)).toThrow(message);
    expect(() => x(text)).toThrow(UsageError);
  });

  it('refuses words that are not in the prompt, and axes of the same thing', () => {
    expect(() => cells({ x: x('prompt-sr=hen,cat') })).toThrow(/--x prompt-sr=hen: the prompt has no "hen"/);
    expect(() => requireDistinct([x('steps=1'), y('steps=2')])).toThrow(
      /--x steps and --y steps: both set the steps/,
    );
    expect(() => requireDistinct([x('size=8x8'), z('height=2')])).toThrow(/both set the height/);
    requireDistinct([x('width=8'), y('height=8'), z('steps=1')]);
  });
});
