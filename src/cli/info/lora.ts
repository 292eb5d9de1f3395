/** `lcm info` of a LoRA: in which layout, how large, and what it adapts. */
import { basename, dirname } from 'node:path';
import { loraIn } from '../../components/lora-files.ts';
import { InputError } from '../../errors.ts';
import { folderFiles } from '../../files/node/folder.ts';
import { float32Data } from '../../graph/host-tensor.ts';
import { convertTensor } from '../../weights/convert.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import type { Lora, LoraLayer } from '../../weights/lora-file.ts';
import { parseLoraName } from '../../weights/lora-names.ts';
import { hashTensors } from '../../weights/node/file-hash.ts';
import type { OpenedSafetensors } from '../../weights/open-safetensors.ts';
import type { Weights } from '../../weights/weights.ts';
import type { Reporter } from '../progress.ts';
import { filesFacts, printFiles, printMetadata } from './files.ts';
import { line, summarize, summaryText } from './numbers.ts';

/** How many names of tensors are shown. */
const SHOWN = 4;

/** Whether the names are a LoRA's, or those of another kind of adapter. */
export function looksLikeLora(weights: Weights): boolean {
  return [...weights.keys()].some(
    (name) => parseLoraName(name) || /^lora_|\.(lora|hada|lokr|oft|dora)_/.test(name),
  );
}

/** path: as it was asked for; file: the one that was opened. */
export async function describeLora(
  path: string,
  file: string,
  opened: OpenedSafetensors,
  { reporter, signal }: { reporter: Reporter; signal: AbortSignal },
): Promise<void> {
  const { weights, metadata } = opened;
  const summary = summarize(weights);
  const format = formatOf(weights);
  const { lora, problem } = await read(file);
  const networks = lora && (await networksOf(lora));
  const consistency = lora?.isConsistency ?? false;
  reporter.print(`${path}: ${consistency ? 'an LCM-LoRA' : 'a LoRA'}, ${format} layout`);
  reporter.print(line('weights', summaryText(summary)));
  for (const [name, { layers, ranks, alphas }] of Object.entries(networks ?? {})) {
    reporter.print(line(name, `${layers} layers, rank ${ranks.join(', ')}, alpha ${alphas.join(', ')}`));
  }
  const warnings = lora?.warnings ?? [];
  for (const warning of warnings) reporter.print(line('but', warning));
  const firstKeys = [...weights.keys()].slice(0, SHOWN);
  if (problem !== undefined) {
    reporter.print(line('not usable', problem));
    reporter.print(line('first keys', firstKeys.join(', ')));
  }
  printMetadata(metadata, reporter);
  const files = await filesFacts([file], { reporter, signal });
  printFiles(files, reporter);
  const automatic1111 = (await hashTensors(file, { signal })).slice(0, 12);
  reporter.print(line('Automatic1111', automatic1111));
  reporter.event('lora', {
    path,
    format,
    consistency,
    networks,
    problem,
    warnings,
    ...(problem !== undefined && { firstKeys }),
    ...summary,
    metadata,
    files,
    automatic1111,
  });
}

async function read(file: string): Promise<{ lora?: Lora; problem?: string }> {
  try {
    return { lora: await loraIn(folderFiles(dirname(file)), basename(file)) };
  } catch (error) {
    if (error instanceof InputError) return { problem: error.message };
    throw error;
  }
}

function formatOf(weights: Weights): string {
  const names = [...weights.keys()];
  if (names.some((name) => name.startsWith('lora_'))) return 'kohya';
  if (names.some((name) => /\.lora_[AB]\./.test(name))) return 'peft';
  return names.some((name) => parseLoraName(name)) ? "diffusers' earlier" : 'unknown';
}

interface NetworkFacts {
  readonly layers: number;
  /** Without repetition, ascending. */
  readonly ranks: readonly number[];
  readonly alphas: readonly number[];
}

/** Alphas that are tensors of one number are the only ones that are read. */
async function networksOf({ weights, layers }: Lora): Promise<Record<string, NetworkFacts>> {
  const adapted = Object.entries(layers).filter(([, found]) => found.size > 0);
  const names = adapted.flatMap(([, found]) => [...found.values()].map(({ alpha }) => alpha));
  const stored = await loadTensors(
    weights,
    names.filter((alpha) => typeof alpha === 'string'),
  );
  const rankOf = ({ down }: LoraLayer) => weights.get(down)!.shape[0] ?? 0;
  const alphaOf = (layer: LoraLayer) => {
    if (typeof layer.alpha !== 'string') return layer.alpha ?? rankOf(layer);
    return float32Data(convertTensor(stored.get(layer.alpha)!, 'float32'))[0]!;
  };
  const different = (values: number[]) => [...new Set(values)].sort((a, b) => a - b);
  return Object.fromEntries(
    adapted.map(([network, found]) => {
      const all = [...found.values()];
      return [
        network,
        { layers: all.length, ranks: different(all.map(rankOf)), alphas: different(all.map(alphaOf)) },
      ];
    }),
  );
}
