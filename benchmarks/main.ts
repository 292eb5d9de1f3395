/**
 * `npm run bench [-- SECTION...]`: measures this machine, in one run, against its own fastest matrix product.
 * Sections: generate, first, train, which run without an argument too; step, where a training step's time goes; sd15, and
 * memory and profile of the same, write a model of 2.1 GB; gaussian draws docs/images/consistency-on-gaussian-data.svg,
 * in two minutes. openvino compares that engine, where it is found, with ONNX Runtime, in some ten minutes;
 * openvino-networks, openvino-pictures and openvino-training are its parts. peers prints how others are measured beside it.
 * `--json` prints the numbers alone.
 */
import { cpus } from 'node:os';
import { createNodeEngine } from '../src/engines/onnxruntime-node/engine.ts';
import { gemmPeak } from '../src/speed/gemm-peak.ts';
import { measureFirstPicture } from './first-picture.ts';
import { drawGaussianFigure } from './gaussian/figure.ts';
import { EMBEDDED_MODEL, measureGeneration } from './generation.ts';
import { type CommandCost, measureMemory, measureQuantization } from './memory.ts';
import { compareOpenVino } from './openvino.ts';
import { peers } from './peers.ts';
import type { OperatorTime } from './profile.ts';
import { measureStages, profileStages } from './stable-diffusion-15.ts';
import { measureTraining, profileTraining } from './training.ts';

const USUAL = ['generate', 'first', 'train'];
const OPENVINO = ['openvino', 'openvino-networks', 'openvino-pictures', 'openvino-training'];
const SECTIONS = [...USUAL, 'step', 'gaussian', 'sd15', 'memory', 'profile', 'peers', ...OPENVINO];

const flags = process.argv.slice(2);
const json = flags.includes('--json');
const wanted = flags.filter((flag) => flag !== '--json');
const unknown = wanted.find((section) => !SECTIONS.includes(section));
if (unknown !== undefined) {
  console.error(`bench: there is no section "${unknown}"; there are ${SECTIONS.join(', ')}`);
  process.exit(2);
}
const runs = (section: string) => (wanted.length === 0 ? USUAL : wanted).includes(section);
const say = (line: string) => {
  if (!json) console.log(line);
};

const engine = createNodeEngine();
const peak = await gemmPeak(engine);
const processor = `${cpus()[0]?.model.trim()}, ${cpus().length} cores`;
const report: Record<string, unknown> = { processor, gemmPeak: peak };
say(`${processor}; GEMM peak ${peak.toFixed(0)} GFLOP/s`);

if (runs('generate')) {
  const rows = await measureGeneration(EMBEDDED_MODEL, [1, 2, 4], [1, 8, 16, 32, 64]);
  report.generation = rows;
  say('\n| steps | batch | pictures/s | GFLOP/s | of peak |\n|---|---|---|---|---|');
  for (const { steps, batch, picturesPerSecond, gflops } of rows) {
    say(
      `| ${steps} | ${batch} | ${picturesPerSecond.toFixed(1)} | ${gflops.toFixed(0)} | ${share(gflops)} |`,
    );
  }
}
if (runs('first')) {
  const { best, median } = await measureFirstPicture();
  report.firstPicture = { best, median };
  say(
    `\nfirst picture, as a new process: ${median.toFixed(2)} s in the median, ${best.toFixed(2)} s at best`,
  );
}
if (runs('train')) {
  const rows = await measureTraining(engine);
  report.training = rows;
  say('\n| training | batch | pictures/s | in the median | GFLOP/s | of peak |\n|---|---|---|---|---|---|');
  for (const { stage, batch, picturesPerSecond, median, gflops } of rows) {
    const speeds = [picturesPerSecond, median].map((speed) => speed.toFixed(1)).join(' | ');
    say(`| ${stage} | ${batch} | ${speeds} | ${gflops.toFixed(0)} | ${share(gflops)} |`);
  }
}
if (runs('step')) {
  const operators = await profileTraining();
  report.step = operators;
  sayOperators('diffusion step, 16 pictures, one thread', operators);
}
if (runs('peers')) {
  report.peers = peers;
  for (const { name, version, install, runs } of peers) {
    say(`\n${name} ${version}\n  ${install}`);
    for (const { measures, command } of runs) say(`  # ${measures}\n  ${command}`);
  }
}
if (runs('gaussian')) {
  const rows = await drawGaussianFigure(engine, 3000);
  report.gaussian = rows;
  say('\n| on Gaussian data | error at σ = 1 | at σ = 14.6 |\n|---|---|---|');
  for (const { kind, errors } of rows)
    say(`| ${kind} | ${errors.map((error) => error.toFixed(3)).join(' | ')} |`);
}
await engine.dispose();
if (runs('sd15')) {
  const stages = await measureStages();
  say('\n| SD 1.5, 512×512, one picture | seconds | GFLOP/s | of peak |\n|---|---|---|---|');
  for (const { stage, seconds, gflops } of stages) {
    say(`| ${stage} | ${seconds.toFixed(2)} | ${gflops.toFixed(0)} | ${share(gflops)} |`);
  }
  report.stableDiffusion15 = { stages };
}
if (runs('memory')) {
  const commands: CommandCost[] = [];
  say('\n| 4 steps with TAESD | first step begins | a step | in all | peak memory |\n|---|---|---|---|---|');
  for await (const cost of measureMemory()) {
    commands.push(cost);
    const { loaded, step, total, peakMemory } = cost;
    const times = [loaded, step, total].map((seconds) => `${seconds.toFixed(1)} s`).join(' | ');
    say(`| \`${cost.command}\` | ${times} | ${(peakMemory / 1e9).toFixed(2)} GB |`);
  }
  const errors = await measureQuantization();
  say('\n| the embedded model | steps | least PSNR | median |\n|---|---|---|---|');
  for (const { kind, steps, least, median } of errors)
    say(`| \`--quantize ${kind}\` | ${steps} | ${least.toFixed(1)} dB | ${median.toFixed(1)} dB |`);
  report.memory = { commands, errors };
}
const parts = (['networks', 'pictures', 'training'] as const).filter(
  (part) => wanted.includes('openvino') || wanted.includes(`openvino-${part}`),
);
if (parts.length > 0) {
  const comparisons = await compareOpenVino(parts);
  report.openVino = comparisons;
  const names = Object.keys(comparisons[0]!.rates);
  say(`\n| per second | ${names.join(' | ')} | times |\n|---|${'---|'.repeat(names.length + 1)}`);
  for (const { what, rates } of comparisons) {
    const times = names.slice(1).map((name) => (rates[name]! / rates.cpu!).toFixed(2));
    say(
      `| ${what} | ${names.map((name) => rates[name]!.toPrecision(3)).join(' | ')} | ${times.join(', ')} |`,
    );
  }
}
if (runs('profile')) {
  const profiles = await profileStages();
  for (const { stage, operators } of profiles) {
    sayOperators(`${stage}, SD 1.5, 512×512`, operators);
  }
  report.profiles = profiles;
}
if (json) console.log(JSON.stringify(report, null, 2));

function sayOperators(what: string, operators: readonly OperatorTime[]): void {
  say(`\n| ${what} | of the time | ms | calls |\n|---|---|---|---|`);
  for (const { operator, share, milliseconds, calls } of operators.slice(0, 14)) {
    say(`| ${operator} | ${(100 * share).toFixed(1)} % | ${milliseconds.toFixed(0)} | ${calls} |`);
  }
}

function share(gflops: number): string {
  return `${((100 * gflops) / peak).toFixed(0)} %`;
}
