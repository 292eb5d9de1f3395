/** A trained judge as a folder: config.json and diffusion_pytorch_model.safetensors, as diffusers stores models. */
import { join } from 'node:path';
import { EMBEDDED_JUDGE } from '../../components/node/embedded-models.ts';
import type { Engine } from '../../engines/engine.ts';
import { InputError } from '../../errors.ts';
import { parseJsonObject } from '../../files/json.ts';
import { readTextIfThere } from '../../files/node/text-file.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { convertTensor } from '../../weights/convert.ts';
import { writeDirectoryAtomically, writeDurably } from '../../weights/node/atomic-write.ts';
import { openSafetensors, writeSafetensors } from '../../weights/node/safetensors-file.ts';
import { type JudgeConfig, judgeConfig } from '../judge.ts';
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

/** Opens the judge in `directory`, by default the one that comes with the package. Throws InputError when there is none. */
export async function openJudge(engine: Engine, directory: string = EMBEDDED_JUDGE): Promise<Judging> {
  const path = join(directory, 'config.json');
  const text = await readTextIfThere(path);
  if (text === undefined) {
    throw new InputError(
      `${directory} holds no judge: expected config.json and ${WEIGHTS}, as lcm train judge writes them`,
      { path: directory },
    );
  }
  const { _class_name: name, ...fields } = parseJsonObject(text, path);
  if (name !== CLASS) {
    throw new InputError(
      `${directory} holds a ${typeof name === 'string' ? name : 'model of unknown class'}; expected a ${CLASS}, as lcm train judge writes it`,
      { path: directory },
    );
  }
  const { weights } = await openSafetensors(join(directory, WEIGHTS));
  return Judging.open(engine, judgeConfig(fields), weights, directory);
}
