/** A model in use: opened once, on an engine, and drawing what it is asked for. Whoever draws for others stands on it. */
import type { Drawing } from '../pipelines/drawing.ts';
import { type StartOptions, startPipeline } from '../pipelines/node/load.ts';
import type { OpenedModel } from '../pipelines/node/opened-model.ts';
import type { DrawnWith } from '../pipelines/picture-text.ts';
import type { Pipeline } from '../pipelines/pipeline.ts';
import type { GenerationRequest } from '../pipelines/settings.ts';
import { changesSince } from './changes-since.ts';
import { replicasFor } from './replicas.ts';

/** How a session is started: the engine, memory, and how many pictures are to come at a time. */
export interface SessionOptions extends Omit<StartOptions, 'loras' | 'drawnWith'> {
  /** Pictures of the largest request that is to come, which decide how many engines share its work. Default: 1. */
  readonly batchSize?: number | undefined;
}

/**
 * A model in use.
 *
 * ```ts
 * const opened = await openForDrawing('models/postcards', {}, ['style.safetensors:0.8']);
 * await using session = await Session.start(opened, {});
 * const { images } = await session.draw({ prompt: 'a windmill in the snow', signal });
 * ```
 */
export class Session {
  readonly opened: OpenedModel;
  readonly pipeline: Pipeline;

  /** Starts the engines. Throws UsageError for replicas that would have nothing to do. */
  static async start(opened: OpenedModel, options: SessionOptions): Promise<Session> {
    const replicas = replicasFor(options, opened.components);
    const { loras } = opened;
    const pipeline = await startPipeline(opened, {
      ...options,
      loras,
      replicas,
      drawnWith: () => opened.drawnWith(),
    });
    return new Session(opened, pipeline);
  }

  private constructor(opened: OpenedModel, pipeline: Pipeline) {
    this.opened = opened;
    this.pipeline = pipeline;
  }

  /** As `Pipeline.generate`: pictures know what they were drawn with. */
  draw(request: GenerationRequest): Drawing {
    return this.pipeline.generate(request);
  }

  /** What a picture was drawn with and is no more as it was, one sentence each. */
  async changesSince(then: Partial<DrawnWith>): Promise<string[]> {
    return changesSince(then, await this.opened.drawnWith());
  }

  /** Ends what is being drawn. */
  dispose(): Promise<void> {
    return this.pipeline.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
