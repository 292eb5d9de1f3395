/** A trained judge as a folder: config.json and diffusion_pytorch_model.safetensors, as diffusers stores models. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../engines/engine.ts';
import { InputError } from '../../errors.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { convertTensor } from '../../weights/convert.ts';
import { writeDirectoryAtomically, writeDurably } from '../../weights/node/atomic-write.ts';
import { openSafetensors, writeSafetensors } from '../../weights/node/safetensors-file.ts';
import type { JudgeConfig } from '../judge.ts';
import { Judging } from '../judging.ts';

const CLASS = 'PostcardJudge';
const WEIGHTS = 'diffusion_pytorch_model.safetensors';

/** Writes a judge with float16 weights, replacing what was there only when everything is written. */
export async function writeJudge(
  directory: string,
  config: JudgeConfig,
  tensors: ReadonlyMap<string, HostTensor>,
): Promise<void> {
  await writeDirectoryAtomically(
    directory,
    async (partial) => {
      const json = `${JSON.stringify({ _class_name: CLASS, ...config }, null, 2)}\n`;
      await writeDurably(join(partial, 'config.json'), [new TextEncoder().encode(json)]);
      const stored = [...tensors].map(([name, tensor]) => [name, convertTensor(tensor, 'float16')] as const);
      await writeSafetensors(join(partial, WEIGHTS), new Map(stored), { format: 'pt' });
    },
    { replace: true },
  );
}

/** Opens the judge in `directory`. Throws InputError when there is none. */
export async function openJudge(engine: Engine, directory: string): Promise<Judging> {
  const text = await readFile(join(directory, 'config.json'), 'utf8').catch((cause) => {
    throw new InputError(
      `${directory} holds no judge: expected config.json and ${WEIGHTS}, as lcm train judge writes them`,
      { cause },
    );
  });
  const config = JSON.parse(text) as JudgeConfig & { readonly _class_name?: string };
  if (config._class_name !== CLASS) {
    throw new InputError(
      `${directory} holds a ${config._class_name ?? 'model of unknown class'}; expected a ${CLASS}, as lcm train judge writes it`,
    );
  }
  const { weights } = await openSafetensors(join(directory, WEIGHTS));
  return Judging.open(engine, config, weights, directory);
}
