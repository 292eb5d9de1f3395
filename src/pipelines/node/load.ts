/** Pipelines in Node: from a folder, on ONNX Runtime. */
import { createNodeEngine, type NodeEngineOptions } from '../../engines/onnxruntime-node/engine.ts';
import { createPipeline, type Pipeline } from '../pipeline.ts';
import { diffusersFiles } from './diffusers-files.ts';

export interface LoadOptions extends NodeEngineOptions {}

/**
 * Loads the model in a diffusers directory. Configurations are read and checked, and the headers of the weights;
 * the weights themselves when they are first needed. Throws InputError for what is missing or damaged.
 */
export async function loadPipeline(path: string, options: LoadOptions = {}): Promise<Pipeline> {
  const files = await diffusersFiles(path);
  const engine = createNodeEngine(options);
  try {
    return await createPipeline(files, engine);
  } catch (error) {
    await engine.dispose();
    throw error;
  }
}
