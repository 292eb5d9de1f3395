/** What a model that is being trained draws, as a sheet of pictures. */
import { join } from 'node:path';
import type { NodeEngineOptions } from '../engines/onnxruntime-node/engine.ts';
import { grid } from '../images/grid.ts';
import { encodePng } from '../images/png.ts';
import { loadPipeline } from '../pipelines/node/load.ts';
import { writeFileAtomically } from '../weights/node/atomic-write.ts';

export interface SampleGridOptions {
  /** The diffusers directory. */
  readonly model: string;
  /** Where the sheets are kept. */
  readonly folder: string;
  readonly prompts: readonly string[];
  /** The step of the training, for the file's name. */
  readonly step: number;
  readonly engine: NodeEngineOptions;
  readonly signal: AbortSignal;
}

/** Draws one picture of each prompt, every time with the same seeds, and returns the sheet's path. */
export async function writeSampleGrid(options: SampleGridOptions): Promise<string> {
  const { model, folder, prompts, step, engine, signal } = options;
  const pipeline = await loadPipeline(model, engine);
  try {
    const { images } = await pipeline.run({ prompt: prompts, seed: 0, signal });
    const path = join(folder, `step-${String(step).padStart(8, '0')}.png`);
    const sheet = grid(images, { columns: Math.ceil(Math.sqrt(2 * images.length)), padding: 4, scale: 2 });
    await writeFileAtomically(path, [await encodePng(sheet, { Description: prompts.join('\n') })]);
    return path;
  } finally {
    await pipeline.dispose();
  }
}
