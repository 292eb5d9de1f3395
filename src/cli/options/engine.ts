/** The engines that commands offer. */
import type { Command } from 'commander';
import type { EngineOptions as CreateOptions, EngineDevice } from '../../engines/create-engine.ts';
import { deviceName, isOpenVino, openVinoDevices } from '../../engines/openvino/devices.ts';
import { type Precision, precisions } from '../../engines/precision.ts';
import { integer, oneOf } from './values.ts';

export type EngineName = EngineDevice;

export const engineNames: readonly EngineName[] = [
  'cpu',
  'webgpu',
  'cuda',
  'coreml',
  'dml',
  ...openVinoDevices,
];

/** Of OpenVINO also a device that is not listed: `openvino:GPU.1`. */
export function engineOf(text: string): EngineName {
  if (isOpenVino(text) && !engineNames.includes(text)) {
    const name = deviceName(text);
    return name === 'CPU' ? 'openvino' : `openvino:${name}`;
  }
  return oneOf('--engine', engineNames)(text);
}

export interface EngineOptions {
  readonly engine: EngineName;
  readonly precision: Precision;
  readonly threads?: number;
  readonly compiledCache?: string;
}

/** Adds the options to a command, which is returned. */
export function withEngineOptions(command: Command): Command {
  return command
    .option('--engine <name>', engineNames.join(', '), engineOf, 'cpu')
    .option(
      '--precision <type>',
      `${precisions.join(', ')}: in what the engine computes; other than float32 with openvino`,
      oneOf('--precision', precisions),
      'float32',
    )
    .option('--threads <n>', 'processor threads', integer('--threads', { min: 1, max: 1024 }))
    .option(
      '--compiled-cache <folder>',
      'keep what is made of large models there, up to 20 GB, so that they load at once the next time and take less memory',
    );
}

export function engineOptions({ engine, precision, threads, compiledCache }: EngineOptions): CreateOptions {
  return { device: engine, precision, threads, compiledCache };
}
