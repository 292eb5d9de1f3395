/** How a training is doing, as a sheet of pictures. */
import type { EngineOptions } from '../engines/create-engine.ts';
import { grid } from '../images/grid.ts';
import type { Image } from '../images/image.ts';
import { encodePng } from '../images/png.ts';
import { loadPipeline } from '../pipelines/node/load.ts';
import type { SampleSheet } from '../training/runs/run.ts';
import { writeFileAtomically } from '../weights/node/atomic-write.ts';
import { disposeUnlessCancelled } from './dispose.ts';
import { openLoras } from './options/lora.ts';

/** Pictures up to this width are shown at twice their size. */
const SMALL = 128;

/** Draws what is to be drawn, every time with the same seeds, and writes it as one picture. */
export async function writeSampleSheet(
  path: string,
  sheet: SampleSheet,
  engine: EngineOptions,
  signal: AbortSignal,
): Promise<void> {
  const { images, columns, description } =
    sheet.kind === 'pictures' ? sheet : await drawn(sheet, engine, signal);
  const scale = images[0]!.width <= SMALL ? 2 : 1;
  const picture = grid(images, { columns, padding: 4, scale });
  await writeFileAtomically(path, [await encodePng(picture, { Description: description })]);
}

async function drawn(
  { model, loras, prompts, nearest }: Extract<SampleSheet, { kind: 'drawn' }>,
  engine: EngineOptions,
  signal: AbortSignal,
): Promise<{ images: readonly Image[]; columns: number; description: string }> {
  const applied = await openLoras(loras.map((path) => ({ path, strength: 1 })));
  const pipeline = await loadPipeline(model, { ...engine, loras: applied });
  try {
    const { images } = await pipeline.generate({ prompt: prompts, seed: 0, signal });
    const near = (await nearest?.(images)) ?? [];
    if (near.length === images.length) {
      const distances = near.map(({ distance }) => distance.toFixed(2)).join(', ');
      return {
        images: [...images, ...near.map(({ image }) => image)],
        columns: images.length,
        description: `${prompts.join('\n')}\nbelow: the nearest pictures trained on, at the distances ${distances}`,
      };
    }
    const columns = Math.ceil(Math.sqrt(2 * images.length));
    return { images, columns, description: prompts.join('\n') };
  } finally {
    await disposeUnlessCancelled(signal, pipeline);
  }
}
