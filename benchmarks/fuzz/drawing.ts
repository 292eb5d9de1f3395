/** One picture of one step, as small as models draw them, with an engine that all inputs share. */
import type { ModelFiles } from '../../src/components/model-files.ts';
import type { SchedulerName } from '../../src/components/scheduler.ts';
import type { Engine } from '../../src/engines/engine.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { createPipeline, type Pipeline, type PipelineOptions } from '../../src/pipelines/pipeline.ts';

let engine: Engine | undefined;

/** A pipeline that leaves the engine to others when it is disposed of. */
export async function openPipeline(files: ModelFiles, options: PipelineOptions = {}): Promise<Pipeline> {
  engine ??= createNodeEngine({ threads: 1 });
  const { name, compile } = { name: engine.name, compile: engine.compile.bind(engine) };
  return createPipeline(files, { name, compile, dispose: async () => {} }, options);
}

export async function draw(
  files: ModelFiles,
  options: PipelineOptions = {},
  scheduler?: SchedulerName,
): Promise<'drawn'> {
  const pipeline = await openPipeline(files, options);
  try {
    const size = { width: 16, height: 16 };
    await pipeline.generate({ prompt: 'a fox by the sea', seed: 0, steps: 1, ...size, scheduler });
  } finally {
    await pipeline.dispose();
  }
  return 'drawn';
}
