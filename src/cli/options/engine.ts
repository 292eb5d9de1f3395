/** The engines that commands offer. */
import type { Command } from 'commander';
import type { NodeDevice, NodeEngineOptions } from '../../engines/onnxruntime-node/engine.ts';
import { integer, oneOf } from './values.ts';

export type EngineName = NodeDevice;

export const engineNames: readonly EngineName[] = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'];

export interface EngineOptions {
  readonly engine: EngineName;
  readonly threads?: number;
  readonly compiledCache?: string;
}

/** Adds the options to a command, which is returned. */
export function withEngineOptions(command: Command): Command {
  return command
    .option('--engine <name>', engineNames.join(', '), oneOf('--engine', engineNames), 'cpu')
    .option('--threads <n>', 'processor threads', integer('--threads', { min: 1, max: 1024 }))
    .option(
      '--compiled-cache <folder>',
      'keep what is made of large models there, up to 20 GB, so that they load at once the next time and take less memory',
    );
}

export function engineOptions({ engine, threads, compiledCache }: EngineOptions): NodeEngineOptions {
  return { device: engine, threads, compiledCache };
}
