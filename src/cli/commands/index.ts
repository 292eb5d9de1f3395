/** The commands: one file each, loaded only when it is asked for, so that each starts at once. */
import type { Command } from 'commander';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  /** Whether it has subcommands. */
  readonly group?: boolean;
  /** `signal` ends the command between two of its steps. */
  readonly load: (signal: AbortSignal) => Promise<Command>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: 'generate',
    summary: 'draw pictures from a sentence',
    load: async (signal) => (await import('./generate.ts')).generateCommand(signal),
  },
  {
    name: 'plot',
    summary: 'draw a grid of pictures over the values of settings',
    load: async (signal) => (await import('./plot.ts')).plotCommand(signal),
  },
  {
    name: 'info',
    summary: 'what a model, a LoRA or a picture is',
    load: async (signal) => (await import('./info.ts')).infoCommand(signal),
  },
  {
    name: 'dataset',
    summary: 'write a training set to a folder',
    group: true,
    load: async (signal) => (await import('./dataset.ts')).datasetCommand(signal),
  },
  {
    name: 'train',
    summary: 'train an autoencoder or a diffusion model',
    group: true,
    load: async (signal) => (await import('./train.ts')).trainCommand(signal),
  },
  {
    name: 'distill',
    summary: 'distil a diffusion model into a latent consistency model',
    load: async (signal) => (await import('./distill.ts')).distillCommand(signal),
  },
  {
    name: 'pull',
    summary: 'download a model from the hub',
    load: async (signal) => (await import('./pull.ts')).pullCommand(signal),
  },
  {
    name: 'convert',
    summary: 'write a model with its weights in another type',
    load: async (signal) => (await import('./convert.ts')).convertCommand(signal),
  },
  {
    name: 'evaluate',
    summary: 'measure how well a model follows its captions',
    load: async (signal) => (await import('./evaluate.ts')).evaluateCommand(signal),
  },
  {
    name: 'doctor',
    summary: 'what works on this machine, and how fast',
    load: async (signal) => (await import('./doctor.ts')).doctorCommand(signal),
  },
  {
    name: 'explain',
    summary: 'show how a model works',
    group: true,
    load: async (signal) => (await import('./explain.ts')).explainCommand(signal),
  },
];
