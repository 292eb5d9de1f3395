/** `lcm plot`: pictures over one, two or three settings, as a grid with its legend. */
import { join } from 'node:path';
import { Command } from 'commander';
import { changesSince } from '../../drawing/changes-since.ts';
import { Session } from '../../drawing/session.ts';
import { engineName } from '../../engines/create-engine.ts';
import { UsageError } from '../../errors.ts';
import { PARAMETERS_KEYWORD } from '../../images/embedded-text.ts';
import { encodePng } from '../../images/png.ts';
import {
  automatic1111Fields,
  automatic1111Text,
  type PictureSettings,
  pictureSettings,
} from '../../pipelines/picture-text.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { disposeUnlessCancelled } from '../dispose.ts';
import { showLoading } from '../opened-model.ts';
import { engineOptions } from '../options/engine.ts';
import {
  type GenerationOptions,
  openPictures,
  promptOf,
  withGenerationOptions,
  withPromptOption,
} from '../options/generation.ts';
import { optionsFromPicture, type RestoredOptions } from '../options/picture.ts';
import { randomSeed } from '../options/request.ts';
import { integer } from '../options/values.ts';
import { outputPaths, requireWritable } from '../output-paths.ts';
import { type Axis, axesHelp, axisOption, optionsSetBy, requireDistinct } from '../plot/axes.ts';
import { type Cell, cellsOf, groupByModel, type PlotAxes } from '../plot/cells.ts';
import { createSheet, type Sheet } from '../plot/draw.ts';
import { type PlannedCell, type PlannedGroup, planCells } from '../plot/plan.ts';
import { createReporter, duration, passUnit, type Reporter } from '../progress.ts';
import { version } from '../version.ts';

interface Options extends GenerationOptions, PlotAxes {
  readonly prompt?: string;
  readonly scale?: number;
  readonly saveImages?: string;
  readonly json?: boolean;
  readonly out: string;
}

/** Small pictures are enlarged to about this many pixels, so that labels have room. */
const PICTURE_SIDE = 192;

const help = `
Axes and their values:
${axesHelp}

Values stand with commas between them; those with commas of their own in double quotes. Where numbers are
expected, 1-4 is 1,2,3,4; 1-10:3 and 1-10 (+3) are 1,4,7,10; 1-10 [4] are four values from 1 to 10.

  lcm plot "a lighthouse at sunset" --x steps=1,2,4,8 --y guidance-scale=1,2,4
  lcm plot "a lighthouse at sunset" --x seed=1-6 --y 'prompt-sr=sunset,"noon, in summer",night'`;

export function plotCommand(signal: AbortSignal): Command {
  const command = new Command('plot')
    .description('Draws a grid of pictures over the values of one to three settings, with a legend.')
    .argument('[prompt]', 'what the pictures should show')
    .option('--x <axis=values>', 'what varies from left to right', axisOption('--x'))
    .option('--y <axis=values>', 'what varies from top to bottom', axisOption('--y'))
    .option('--z <axis=values>', 'a grid for each of these', axisOption('--z'));
  return withPromptOption(withGenerationOptions(command))
    .option(
      '--scale <n>',
      'every pixel as n × n (default: small pictures are enlarged)',
      integer('--scale', { min: 1, max: 16 }),
    )
    .option('--save-images <dir>', 'also save each picture, as x1-y1-z1.png and so on')
    .option('--json', 'report as JSON lines on the standard output')
    .option('-o, --out <path>', 'a .png file, or a folder', 'plot.png')
    .addHelpText('after', help)
    .action(async (argument: string | undefined, options: Options, command: Command) => {
      const prompt = promptOf(argument, options);
      const axes = axesOf(options);
      if (options.from === undefined) return plot(prompt ?? '', options, undefined, signal);
      const onAxes = axes.flatMap(optionsSetBy);
      const isGiven = (name: string) => command.getOptionValueSource(name) === 'cli' || onAxes.includes(name);
      const picture = await optionsFromPicture(options.from, isGiven);
      return plot(prompt ?? picture.prompt, { ...options, ...picture.options }, picture, signal);
    });
}

/** Throws UsageError without axes, and for axes that get into each other's way. */
function axesOf({ x, y, z }: PlotAxes): Axis[] {
  const axes = [x, y, z].filter((axis) => axis !== undefined);
  if (axes.length === 0) {
    throw new UsageError('there is no axis: say what should vary, as in --x steps=1,2,4,8');
  }
  requireDistinct(axes);
  return axes;
}

async function plot(
  prompt: string,
  given: Options,
  restored: RestoredOptions | undefined,
  signal: AbortSignal,
): Promise<void> {
  const options = { ...given, seed: given.seed ?? randomSeed() };
  const { seed, saveImages } = options;
  const reporter = createReporter({ json: options.json });
  for (const warning of restored?.warnings ?? []) reporter.warn(warning);
  const groups = groupByModel(cellsOf(options, { prompt, options }));
  // One of an axis may be empty: that is what guidance leads away from.
  if (prompt.trim() === '' && !axesOf(options).some(({ name }) => name === 'prompt')) {
    throw new UsageError(
      'the prompt is empty: write what the pictures should show, or put prompts on an axis',
    );
  }
  const path = (await outputPaths(options.out, 1))({ index: 0, prompt: `plot ${prompt}`, seed });
  if (saveImages !== undefined) await requireWritable(saveImages, '--save-images');
  const shared = await openPictures(options, reporter);
  const warn = warnOnce(reporter);
  const planned: DrawnGroup[] = [];
  for (const group of await planCells(groups, shared, warn))
    planned.push(await withSettings(group, options, restored, warn));
  const cells = planned.flatMap((group) => group.cells);
  const fields = commonFields(cells.map(({ carried }) => automatic1111Fields(carried)));
  const sheet = sheetOf(prompt, options, fields, cells);
  if (sheet.missing.length > 0) {
    const some = sheet.missing.slice(0, 8).join(' ');
    warn(
      `the fonts of this machine lack ${sheet.missing.length} characters of the legend (${some}${sheet.missing.length > 8 ? ' …' : ''}): ` +
        'other signs stand in their place; install a font that has them, on Debian fonts-noto-cjk for Chinese, Japanese and Korean',
    );
  }

  await draw(planned, sheet, options, reporter, signal);
  const text = { [PARAMETERS_KEYWORD]: parametersOf(prompt, options, fields) };
  await writeFileAtomically(path, [await encodePng(sheet.image(), text)]);
  const sinceStart = performance.now() / 1000;
  const { width, height } = sheet;
  reporter.event('plot', { path, width, height, images: cells.length, sinceStart });
  reporter.print(
    `${path}  (${width}×${height}, ${cells.length} pictures, ${duration(sinceStart)} since the start)`,
  );
}

/** A cell with the settings that its picture carries. */
interface DrawnCell extends PlannedCell {
  readonly carried: PictureSettings;
}

interface DrawnGroup extends PlannedGroup {
  readonly cells: readonly DrawnCell[];
}

async function withSettings(
  group: PlannedGroup,
  { image, mask, engine, precision, from }: Options,
  restored: RestoredOptions | undefined,
  warn: (message: string) => void,
): Promise<DrawnGroup> {
  const drawn = await group.model.drawnWith();
  for (const change of changesSince(restored?.drawnWith ?? {}, drawn)) warn(`--from ${from}: ${change}`);
  const made = {
    ...drawn,
    image,
    mask,
    engine: engineName(engine),
    version: await version(),
    ...(precision !== 'float32' && { precision }),
  };
  const cells = group.cells.map((cell) => ({ ...cell, carried: pictureSettings(cell.settings, 0, made) }));
  return { ...group, cells };
}

/** Draws all cells onto the sheet, one model after the other. */
async function draw(
  groups: readonly DrawnGroup[],
  sheet: Sheet,
  options: Options,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const total = groups.flatMap(({ cells }) => cells).reduce((sum, { steps }) => sum + steps, 0);
  let done = 0;
  for (const { cells, model } of groups) {
    const { lowMemory, quantize } = options;
    const session = await Session.start(model, {
      ...engineOptions(options),
      lowMemory,
      quantize,
      onProgress: showLoading(reporter),
    });
    try {
      for (const cell of cells) {
        const drawing = session.draw({ ...cell.request, signal });
        for await (const { passesPerStep } of drawing) {
          reporter.progress({ label: 'drawing', done: ++done, total, unit: passUnit(passesPerStep) });
        }
        const { images } = await drawing;
        const { column, row, grid, carried } = cell;
        sheet.draw(images[0]!, column, row, grid);
        const path = options.saveImages && join(options.saveImages, `${nameOf(cell, options)}.png`);
        if (path) await images[0]!.save(path);
        const { seed, width, height, steps, guidanceScale, scheduler } = carried;
        reporter.event('image', {
          path,
          column,
          row,
          grid,
          values: valuesOf(cell),
          seed,
          width,
          height,
          steps,
          guidanceScale,
          scheduler,
        });
      }
    } finally {
      await disposeUnlessCancelled(signal, session);
    }
  }
}

/** What is common to the pictures and what varies, as Automatic1111 writes it into its grids. */
function parametersOf(prompt: string, options: Options, fields: readonly string[]): string {
  const varied = axesOf(options).flatMap(({ flag, name, values }) => {
    const letter = flag.slice('--'.length).toUpperCase();
    const list = JSON.stringify(values.map(({ text }) => quoted(text)).join(','));
    return [`${letter} Type: ${name}`, `${letter} Values: ${list}`];
  });
  return automatic1111Text(prompt, options.negativePrompt, [...fields, ...varied]);
}

/** The sheet with its legend and no pictures yet. */
function sheetOf(
  prompt: string,
  { x, y, z, scale: wanted }: Options,
  fields: readonly string[],
  cells: readonly PlannedCell[],
): Sheet {
  const place = (column: number, row: number, grid: number) => `${column},${row},${grid}`;
  const sizes = new Map(cells.map(({ column, row, grid, settings }) => [place(column, row, grid), settings]));
  const largest = Math.max(...cells.map(({ settings }) => Math.max(settings.width, settings.height)));
  const scale = wanted ?? Math.ceil(PICTURE_SIDE / largest);
  const labels = (axis: Axis | undefined) => axis?.values.map(({ label }) => label) ?? [''];
  return createSheet(
    {
      title: [x, y, z].some((axis) => axis?.name === 'prompt') ? '' : prompt,
      remark: fields.filter((field) => !/^(Version|VAE hash|Lora hashes): /.test(field)).join(', '),
      columns: labels(x),
      rows: labels(y),
      grids: labels(z),
      sizeOf(column, row, grid) {
        const { width, height } = sizes.get(place(column, row, grid))!;
        return { width: width * scale, height: height * scale };
      },
    },
    scale,
  );
}

/** What is the same in all pictures. */
function commonFields(all: readonly (readonly string[])[]): string[] {
  return all[0]!.filter((field) => all.every((fields) => fields.includes(field)));
}

/** `x1-y2`: the places on the axes that there are. */
function nameOf({ column, row, grid }: Cell, { x, y, z }: PlotAxes): string {
  return [x && `x${column + 1}`, y && `y${row + 1}`, z && `z${grid + 1}`].filter(Boolean).join('-');
}

function valuesOf({ chosen }: Cell): Record<string, string> {
  return Object.fromEntries(chosen.map(({ axis, value }) => [axis.flag.slice('--'.length), value.text]));
}

/** As `--x` takes it. */
function quoted(text: string): string {
  return text === '' || /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The same remark about many pictures is made once. */
function warnOnce(reporter: Reporter): (message: string) => void {
  const said = new Set<string>();
  return (message) => {
    if (!said.has(message)) reporter.warn(message);
    said.add(message);
  };
}
