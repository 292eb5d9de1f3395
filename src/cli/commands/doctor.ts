/** `lcm doctor`: what works on this machine, what does not and why, and how fast it is. */
import { Command } from 'commander';
import { InputError } from '../../errors.ts';
import { formatBytes } from '../../format-bytes.ts';
import { disposeUnlessCancelled } from '../dispose.ts';
import { checkEngine, type EngineCheck } from '../doctor/engine-check.ts';
import { cache, memory, processor, versions } from '../doctor/machine.ts';
import { type OpenVinoReport, openVino, openVinoLines } from '../doctor/openvino.ts';
import { measureSpeed, openedModel, type Speed } from '../doctor/speed.ts';
import { type EngineName, engineNames, engineOf } from '../options/engine.ts';
import { number } from '../options/values.ts';
import { createReporter, duration, type Reporter } from '../progress.ts';

interface Options {
  readonly seconds: number;
  readonly json?: boolean;
}

export function doctorCommand(signal: AbortSignal): Command {
  return new Command('doctor')
    .description(
      'Says which engines work on this machine, which do not and why, and how fast it is. Ends with 1 when none works.',
    )
    .option(
      '--seconds <n>',
      'for measuring the speed; 0 leaves it out',
      number('--seconds', { min: 0, max: 10 }),
      6,
    )
    .option('--json', 'report as JSON lines on the standard output')
    .action((options: Options) => examine(options, signal));
}

async function examine({ seconds, json }: Options, signal: AbortSignal): Promise<void> {
  const reporter = createReporter({ json });
  await describeMachine(reporter);
  const { devices } = await describeOpenVino(reporter, signal);
  const checks = await Promise.all(namesToTry(devices).map((name) => checkEngine(name, { signal })));
  for (const [i, check] of checks.entries()) {
    reporter.event('engine', { ...check });
    line(reporter, i === 0 ? 'engines' : '', `${check.engine.padEnd(14)}${verdict(check)}`);
  }
  const working = checks.find(({ works }) => works);
  if (working) await describeModel(working.engine, seconds, reporter, signal);
  else process.exitCode = 1;
  reporter.event('done', { works: working !== undefined });
}

/** Of OpenVINO's devices those that are there; without any of them `openvino` says why. */
function namesToTry(devices: OpenVinoReport['devices']): EngineName[] {
  const found = devices.map(({ name }) => engineOf(`openvino:${name}`));
  return [...new Set([...engineNames.filter((name) => !name.startsWith('openvino:')), ...found])];
}

async function describeOpenVino(reporter: Reporter, signal: AbortSignal): Promise<OpenVinoReport> {
  const report = await openVino({ signal });
  reporter.event('openvino', { ...report });
  for (const [i, text] of openVinoLines(report).entries()) line(reporter, i === 0 ? 'OpenVINO' : '', text);
  return report;
}

async function describeMachine(reporter: Reporter): Promise<void> {
  const software = await versions();
  reporter.event('versions', { ...software });
  const { version, node, requiredNode, nodeSuffices, onnxruntime, platform } = software;
  const advice = nodeSuffices ? '' : ` (too old: ${requiredNode} or newer is needed)`;
  line(
    reporter,
    'versions',
    `lcm ${version}, Node ${node}${advice}, ONNX Runtime ${onnxruntime}, ${platform}`,
  );

  const chip = await processor();
  reporter.event('processor', { ...chip });
  const counts = [
    ...(chip.cores === undefined ? [] : [`${chip.cores} ${chip.cores === 1 ? 'core' : 'cores'}`]),
    `${chip.threads} ${chip.threads === 1 ? 'thread' : 'threads'}`,
    ...(chip.usable === chip.threads ? [] : [`${chip.usable} of them usable`]),
    ...(chip.instructions ?? []),
  ];
  line(reporter, 'processor', `${chip.model}: ${counts.join(', ')}`);

  const { total, available, limit } = memory();
  reporter.event('memory', { total, available, limit });
  const limited = limit === undefined ? '' : `, limited to ${formatBytes(limit)}`;
  line(reporter, 'memory', `${formatBytes(total)}${limited}, ${formatBytes(available)} available`);

  const { path, models, bytes } = await cache();
  reporter.event('cache', { path, models, bytes });
  line(
    reporter,
    'hub cache',
    `${path}: ${models} ${models === 1 ? 'model' : 'models'}, ${formatBytes(bytes)}`,
  );
}

/** Loads it, draws with it, and measures how fast. What fails is reported as the engines are. */
async function describeModel(
  engine: EngineName,
  seconds: number,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  try {
    const opened = await openedModel(engine, signal);
    try {
      reporter.event('model', { works: true, engine, seconds: opened.seconds });
      line(
        reporter,
        'model',
        `the embedded one drew its first picture within ${duration(opened.seconds)}, on ${engine}`,
      );
      if (seconds === 0) return;
      const speed = await measureSpeed(opened.pipeline, engine, seconds, signal);
      reporter.event('speed', { engine, ...speed });
      for (const [i, text] of speedLines(speed).entries()) line(reporter, i === 0 ? 'speed' : '', text);
    } finally {
      await disposeUnlessCancelled(signal, opened.pipeline);
    }
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    reporter.event('model', { works: false, engine, reason: error.message });
    line(reporter, 'model', `does not work: ${error.message}`);
  }
}

function speedLines({
  gemmPeak,
  picturesPerSecond,
  steps,
  secondsPerLargeStep,
  gflopsPerLargeStep,
}: Speed): string[] {
  return [
    `${gemmPeak.toFixed(0)} GFLOP/s in matrix products`,
    `${picturesPerSecond.toFixed(1)} pictures/s of the embedded model, one at a time in ${steps} steps`,
    `about ${duration(secondsPerLargeStep)} a step for Stable Diffusion 1.5 at 512×512 (${gflopsPerLargeStep.toFixed(0)} GFLOP), by estimate`,
  ];
}

function verdict({ works, error, reason }: EngineCheck): string {
  return works ? `works, off by ${error!.toExponential(0)}` : `no: ${reason}`;
}

function line(reporter: Reporter, title: string, text: string): void {
  reporter.print(`${title.padEnd(11)}${text}`);
}
