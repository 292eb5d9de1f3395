/** Checks every picture of a plot before the first one is drawn. Only configurations are read. */
import { SettingError, UsageError } from '../../errors.ts';
import { planGeneration } from '../../pipelines/generation.ts';
import type { OpenedModel } from '../../pipelines/node/opened-model.ts';
import type { GenerationRequest, Settings } from '../../pipelines/settings.ts';
import { openModelOf, warningsAbout } from '../opened-model.ts';
import { flagOf, messageWithFlags } from '../options/flag-names.ts';
import type { GenerationOptions } from '../options/generation.ts';
import { requestOf } from '../options/request.ts';
import { optionsSetBy } from './axes.ts';
import type { Cell } from './cells.ts';

export interface PlannedCell extends Cell {
  readonly request: GenerationRequest;
  readonly settings: Settings;
  /** Passes of the sampler, for the progress. */
  readonly steps: number;
}

/** The cells that one model draws. */
export interface PlannedGroup {
  readonly model: OpenedModel;
  readonly cells: readonly PlannedCell[];
}

/**
 * Plans the cells of each model. shared: what is in every request and in no option. Throws UsageError or InputError
 * for the first picture that cannot be drawn, naming the values of the axes.
 */
export async function planCells(
  groups: readonly (readonly Cell[])[],
  shared: Partial<GenerationRequest>,
  onWarning: (message: string) => void,
): Promise<PlannedGroup[]> {
  const planned: PlannedGroup[] = [];
  for (const cells of groups) {
    const model = await openModelOf(cells[0]!.recipe.options);
    for (const warning of warningsAbout(model)) onWarning(warning);
    const plan = (cell: Cell): PlannedCell => {
      const { prompt, options } = cell.recipe;
      const request = { ...shared, ...requestOf(prompt, options, [seedOf(options)]) };
      try {
        const { settings, sampler, from } = planGeneration(model.components, { ...request, onWarning });
        return { ...cell, request, settings, steps: sampler.timesteps.length - from };
      } catch (error) {
        throw atCell(error, cell);
      }
    };
    planned.push({ model, cells: cells.map(plan) });
  }
  return planned;
}

function seedOf({ seed }: GenerationOptions): number {
  if (seed === undefined) throw new Error('the pictures of a plot are planned with their seed');
  return seed;
}

/** What the library found wrong, with the option or the axes that said so. */
function atCell(error: unknown, { chosen }: Cell): unknown {
  if (!(error instanceof UsageError)) return error;
  const message = messageWithFlags(error);
  const values = chosen.map(({ axis, value }) => `${axis.flag} ${axis.name}=${value.text}`);
  if (!(error instanceof SettingError)) {
    return new UsageError(`${values.join(' ')}: ${message}`, { cause: error });
  }
  const flag = flagOf(error.setting);
  const own = chosen.find(({ axis }) => `--${axis.name}` === flag);
  if (own)
    return new UsageError(`${own.axis.flag} ${own.axis.name}=${message.slice(flag.length + 1)}`, {
      cause: error,
    });
  const setBy = chosen.find(({ axis }) => optionsSetBy(axis).includes(error.setting));
  const named = setBy
    ? `${setBy.axis.flag} ${setBy.axis.name}=${setBy.value.text}: ${error.message}`
    : message;
  return new UsageError(named, { cause: error });
}
