/** A model that is ready to draw: its parts, its networks and the engine they run on. */
import type { Engine } from '../engines/engine.ts';
import { type Components, loadComponents } from './components.ts';
import type { ModelFiles } from './model-files.ts';
import { Networks } from './networks.ts';
import type { TextToImageRequest } from './settings.ts';
import { type Generation, type GenerationStep, textToImage } from './text-to-image.ts';

export interface Pipeline {
  readonly model: Components;
  /** The engine's name. */
  readonly engine: string;
  /** Text to image, one step after the other; the generator's return value holds the pictures. */
  generate(request: TextToImageRequest): AsyncGenerator<GenerationStep, Generation>;
  /** The same to its end. */
  run(request: TextToImageRequest, onStep?: (step: GenerationStep) => unknown): Promise<Generation>;
  /** Frees the networks and the engine. */
  dispose(): Promise<void>;
}

/** Makes a pipeline of a model's files; the engine then belongs to it. */
export async function createPipeline(files: ModelFiles, engine: Engine): Promise<Pipeline> {
  const model = await loadComponents(files);
  const networks = new Networks(model, engine);
  const generate = (request: TextToImageRequest) => textToImage(model, networks, request);
  return {
    model,
    engine: engine.name,
    generate,
    async run(request, onStep) {
      const steps = generate(request);
      for (;;) {
        const next = await steps.next();
        if (next.done) return next.value;
        await onStep?.(next.value);
      }
    },
    async dispose() {
      await networks.dispose();
      await engine.dispose();
    },
  };
}
