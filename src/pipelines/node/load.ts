/** Pipelines in Node: from a folder, a file or a downloaded model, on ONNX Runtime. */
import { createNodeEngine, type NodeEngineOptions } from '../../engines/onnxruntime-node/engine.ts';
import { createPipeline, type Pipeline, type PipelineOptions } from '../pipeline.ts';
import { type OpenModelOptions, openModel } from './open-model.ts';

export interface LoadOptions extends NodeEngineOptions, OpenModelOptions, PipelineOptions {}

/**
 * Loads a diffusers directory, a single-file checkpoint, or a model of the hub that was downloaded before. Configurations are read and checked, and the headers of the weights;
 * the weights themselves when they are first needed. Throws InputError for what is missing or damaged.
 */
export async function loadPipeline(path: string, options: LoadOptions = {}): Promise<Pipeline> {
  const files = await openModel(path, options);
  const engine = createNodeEngine(options);
  try {
    return await createPipeline(files, engine, options);
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}
