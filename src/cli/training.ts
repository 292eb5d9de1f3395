/** What the training commands share: settings from a file, a dry run, progress, and the way to resume. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { z } from 'zod';
import { createEngine, isOnProcessor } from '../engines/create-engine.ts';
import type { Engine } from '../engines/engine.ts';
import { InputError, UsageError } from '../errors.ts';
import type { JsonObject } from '../files/json.ts';
import { readJsonObject, readText } from '../files/node/text-file.ts';
import { formatBytes } from '../format-bytes.ts';
import { NotFiniteError } from '../networks/finite.ts';
import type { TrainingEvent } from '../training/loop/events.ts';
import type { RunConfig } from '../training/runs/config.ts';
import { estimate, type RecipeKind, train } from '../training/runs/recipe.ts';
import type { Sample } from '../training/runs/run.ts';
import { listSettings } from '../training/runs/setting-list.ts';
import { overlay } from '../training/runs/settings.ts';
import { disposeUnlessCancelled } from './dispose.ts';
import { type EngineOptions, engineOptions, withEngineOptions } from './options/engine.ts';
import { withTrainingFlags } from './options/training.ts';
import { integer } from './options/values.ts';
import { createReporter, duration, type Reporter } from './progress.ts';
import { writeSampleSheet } from './sample-sheet.ts';

export interface TrainingOptions extends EngineOptions {
  readonly out?: string;
  readonly config?: string;
  /** What flags and `--set` say. */
  readonly settings: JsonObject;
  readonly validationPrompts?: string;
  readonly dryRun?: boolean;
  readonly replicas?: number;
  readonly json?: boolean;
}

/** The options of every training command, with the flags of its settings. */
export function addTrainingOptions(command: Command, settings: z.ZodType): Command {
  const listed = listSettings(settings);
  command
    .option('--out <dir>', "the run's folder; a run that was stopped there goes on")
    .option('--config <file>', 'settings as JSON; the options below take precedence');
  withTrainingFlags(command, listed);
  if (listed.some(({ path }) => path === 'validationPrompts'))
    command.option('--validation-prompts <file>', 'the same from a text, a prompt on each line');
  command.option('--dry-run', 'print settings, sizes, work, memory and a measured time, and train nothing');
  return withEngineOptions(command)
    .option(
      '--replicas <n>',
      'engines that share each batch; by default one per core, for at least 8 pictures each',
      integer('--replicas', { min: 1, max: 1024 }),
    )
    .option('--json', 'report as JSON lines on the standard output');
}

/** A kind of training as a command has it. */
export interface TrainingRun<Config extends RunConfig> {
  readonly kind: RecipeKind<Config>;
  /** Throws UsageError for what must be named. */
  readonly check?: (given: JsonObject) => void;
}

/** Runs, or with --dry-run plans, a training. */
export async function runTraining<Config extends RunConfig>(
  run: TrainingRun<Config>,
  options: TrainingOptions,
  signal: AbortSignal,
): Promise<void> {
  const reporter = createReporter({ json: options.json });
  const given = await givenSettings(options);
  run.check?.(given);
  const config = await run.kind.configure(given);
  const { out: directory, dryRun } = options;
  if (directory === undefined && !dryRun) {
    throw new UsageError('--out is missing: name the folder in which the run is kept');
  }
  const engine = createEngine(engineOptions(options));
  const replicas = createReplicas(config.batch, options);
  try {
    if (directory === undefined || dryRun) {
      const onProgress = (event: TrainingEvent) => show(event, reporter);
      describe(await estimate(run.kind, config, { engine, replicas, signal, onProgress }), reporter);
      return;
    }
    const result = await train(run.kind, config, {
      engine,
      replicas,
      directory,
      signal,
      onProgress: (event) => show(event, reporter),
      onSample: sampleWriter(directory, options, reporter, signal),
    });
    reporter.event('result', {
      step: result.step,
      completed: result.completed,
      model: result.modelDirectory,
    });
    if (!result.completed) {
      reporter.note(`stopped after step ${result.step}; the same command goes on from there`);
      signal.throwIfAborted();
    }
    reporter.print(`${result.modelDirectory}  (after ${result.step} steps)`);
  } finally {
    await disposeUnlessCancelled(signal, engine, ...replicas);
  }
}

/** Writes sample sheets into the folder of a run. */
export function sampleWriter(
  directory: string,
  options: EngineOptions,
  reporter: Reporter,
  signal: AbortSignal,
): (sample: Sample) => Promise<void> {
  return async ({ step, sheet, again }) => {
    const path = join(directory, 'samples', `step-${String(step).padStart(8, '0')}.png`);
    if (signal.aborted || (again && existsSync(path))) return;
    try {
      await writeSampleSheet(path, sheet, engineOptions(options), signal);
    } catch (error) {
      // The drawing was cancelled: the training itself ends after its step, with a checkpoint.
      if (signal.aborted) return;
      if (!(error instanceof NotFiniteError)) throw error;
      // Of a model that may still learn better. A loss that is no number ends the training by itself.
      reporter.warn(`no samples after step ${step}: ${error.message}`);
      return;
    }
    reporter.event('sample-grid', { step, path });
    reporter.note(`samples after step ${step}: ${path}`);
  };
}

/** Pictures below which a share of the batch is too little work for an engine of its own. */
const SMALLEST_SHARE = 8;

/** Engines that share each batch: on a processor one per core, where single threads need not wait for each other. */
export function createReplicas(
  batch: number,
  options: EngineOptions & Pick<TrainingOptions, 'replicas'>,
): Engine[] {
  const threads = options.threads ?? availableParallelism();
  const most = Math.min(threads, Math.floor(batch / SMALLEST_SHARE));
  const fitting = Array.from({ length: most }, (_, i) => most - i).find((count) => batch % count === 0);
  const count = options.replicas ?? (isOnProcessor(options.engine) ? (fitting ?? 1) : 1);
  if (count === 1) return [];
  const each = { ...options, threads: Math.max(1, Math.floor(threads / count)) };
  return Array.from({ length: count }, () => createEngine(engineOptions(each)));
}

async function readSettingsFile(path: string | undefined): Promise<JsonObject> {
  if (path === undefined) return {};
  try {
    return await readJsonObject(path);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      `--config: ${error.message}; expected a JSON object with settings, as --dry-run prints them`,
      { cause: error },
    );
  }
}

/** Those of the file, and over them those of the flags. */
async function givenSettings({ config, settings, validationPrompts }: TrainingOptions): Promise<JsonObject> {
  const given = overlay(await readSettingsFile(config), settings);
  if (validationPrompts === undefined) return given;
  const lines = (await readText(validationPrompts)).split('\n').map((line) => line.trim());
  const prompts = lines.filter((line) => line !== '');
  if (prompts.length > 0) return overlay(given, { validationPrompts: prompts });
  throw new InputError(
    `--validation-prompts ${validationPrompts}: expected a prompt on each line, found none`,
    {
      path: validationPrompts,
    },
  );
}

/** What a dry run says. */
export function describe(
  { secondsPerStep, ...plan }: Awaited<ReturnType<typeof estimate>>,
  reporter: Reporter,
): void {
  reporter.event('plan', { ...plan, ...(secondsPerStep !== undefined && { secondsPerStep }) });
  reporter.printText(JSON.stringify(plan.config, null, 2));
  const sizes = Object.entries(plan.parameters).map(
    ([name, count]) => `${name} ${(count / 1e6).toFixed(2)} M`,
  );
  reporter.print(`trained parameters: ${sizes.join(', ')}`);
  const { flopsPerStep, flopsPerPicture, config, memory, disk } = plan;
  reporter.print(
    `work: ${(flopsPerStep / 1e9).toFixed(2)} GFLOP per step, ${(flopsPerPicture / 1e9).toFixed(2)} per picture, ` +
      `${((flopsPerStep * config.steps) / 1e15).toFixed(3)} PFLOP for ${config.steps} steps`,
  );
  reporter.print(
    `memory: ${formatBytes(memory)} at least; disk: ${formatBytes(disk)} for latents and checkpoints`,
  );
  const pictures = config.batch * config.accumulate;
  reporter.print(
    secondsPerStep === undefined
      ? 'time: a step is too large to be measured in half a minute; "lcm doctor" says how many GFLOP/s there are'
      : `time, from one step that was run: ${duration(secondsPerStep)} per step, ${(pictures / secondsPerStep).toFixed(1)} pictures/s, ` +
          `${duration(secondsPerStep * config.steps)} for ${config.steps} steps`,
  );
}

/** Parts of a record that the progress bar shows already. */
const clockwork = new Set(['images', 'images_per_second', 'seconds', 'seconds_left']);

function show(event: TrainingEvent, reporter: Reporter): void {
  if (event.type === 'warning') {
    reporter.warn(event.message);
    return;
  }
  const { type, ...fields } = event;
  reporter.event(type, fields);
  switch (event.type) {
    case 'phase':
      if (event.total === undefined) reporter.note(event.message);
      else
        reporter.progress({
          label: event.message,
          done: event.done ?? 0,
          total: event.total,
          unit: 'image',
          rate: event.imagesPerSecond,
          secondsLeft: event.secondsLeft,
        });
      break;
    case 'start':
      reporter.note(
        event.resumed
          ? `going on from step ${event.step} of ${event.steps}`
          : `training ${event.steps} steps`,
      );
      break;
    case 'step':
      reporter.progress({
        label: 'training',
        done: event.step,
        total: event.steps,
        unit: 'image',
        rate: event.imagesPerSecond,
        secondsLeft: event.secondsLeft,
        detail: `loss ${event.loss.toPrecision(4)}`,
      });
      break;
    case 'metrics': {
      const { step, ...values } = event.record;
      const text = Object.entries(values)
        .filter(([name]) => !clockwork.has(name))
        .sort(([a], [b]) => a.localeCompare(b))
        .map(([name, value]) => `${name} ${value.toPrecision(3)}`);
      reporter.note(`step ${step}: ${text.join(', ')}`);
      break;
    }
    case 'stopping':
      reporter.note(`finishing step ${event.step}; Ctrl-C again to end at once`);
      break;
    case 'checkpoint':
      reporter.note(`checkpoint after step ${event.step}: ${event.directory}`);
      break;
    case 'samples':
    case 'end':
      break;
  }
}
