/** The pictures of a plot: one for each combination of the values, put together by the model that draws them. */
import type { GenerationOptions } from '../options/generation.ts';
import { type Axis, type AxisValue, byOrder, optionsOf, type Recipe } from './axes.ts';

export interface PlotAxes {
  readonly x?: Axis;
  readonly y?: Axis;
  readonly z?: Axis;
}

export interface Chosen {
  readonly axis: Axis;
  readonly value: AxisValue;
}

export interface Cell {
  readonly column: number;
  readonly row: number;
  readonly grid: number;
  /** The values of its axes, in the order x, y, z. */
  readonly chosen: readonly Chosen[];
  readonly recipe: Recipe;
}

/** Every combination. Throws UsageError when a value does not go with the others. */
export function cellsOf({ x, y, z }: PlotAxes, base: Recipe): Cell[] {
  return choices(z).flatMap((ofZ, grid) =>
    choices(y).flatMap((ofY, row) =>
      choices(x).map((ofX, column) => {
        const chosen = [ofX, ofY, ofZ].filter((one) => one !== undefined);
        const changed = [...chosen]
          .sort((a, b) => byOrder(a.axis, b.axis))
          .reduce((recipe, { value }) => value.apply(recipe), base);
        const recipe = { prompt: changed.prompt, options: optionsOf(changed) };
        return { column, row, grid, chosen, recipe };
      }),
    ),
  );
}

/**
 * The cells by the model that they need with its LoRAs and other parts, so that each is loaded once; those of one
 * size stand together, for which the networks are compiled.
 */
export function groupByModel<C extends Cell>(cells: readonly C[]): C[][] {
  return by(cells, ({ model }) => model)
    .flatMap((group) => by(group, ({ unet, vae, lora }) => JSON.stringify([unet, vae, lora])))
    .map((group) => by(group, ({ width, height }) => `${width}×${height}`).flat());
}

/** In the order in which the keys are met. */
function by<C extends Cell>(cells: readonly C[], key: (options: GenerationOptions) => string): C[][] {
  const groups = new Map<string, C[]>();
  for (const cell of cells) {
    const name = key(cell.recipe.options);
    const group = groups.get(name);
    if (group) group.push(cell);
    else groups.set(name, [cell]);
  }
  return [...groups.values()];
}

function choices(axis: Axis | undefined): (Chosen | undefined)[] {
  return axis ? axis.values.map((value) => ({ axis, value })) : [undefined];
}
