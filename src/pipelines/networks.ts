/** The networks of a model as functions from values to values; each is compiled once for every shape it meets. */
import type { Engine, Executable, RunOptions } from '../engines/engine.ts';
import { ExecutableCache } from '../engines/executable-cache.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import { input, type Tensor } from '../graph/tensor.ts';
import type { Params } from '../layers/params.ts';
import { clipFinalLayerNorm, clipText } from '../models/clip-text.ts';
import { unet2DCondition } from '../models/unet-2d-condition.ts';
import { paramsFromWeights } from '../weights/source.ts';
import type { Component, Components } from './components.ts';

export interface UNetInputs {
  /** Noisy latents, [B, C, h, w]. */
  readonly sample: HostTensor;
  /** The same for the whole batch, 0 to 999. */
  readonly timestep: number;
  /** States of the text encoder, [B, L, D]. */
  readonly states: HostTensor;
  /** Guidance embedding, [B, E], for UNets that take one. */
  readonly guidance?: HostTensor | undefined;
}

/** The shapes that a generation will need. */
export interface GenerationShapes {
  readonly ids: Shape;
  readonly latents: Shape;
  /** Images in one pass of the UNet: the batch, or twice the batch with classifier-free guidance. */
  readonly unetBatch: number;
  readonly clipSkip: number;
}

export class Networks {
  readonly #components: Components;
  readonly #engine: Engine;
  readonly #cache = new ExecutableCache();

  constructor(components: Components, engine: Engine) {
    this.#components = components;
    this.#engine = engine;
  }

  /** Compiles everything at once, so that the reading of one network's weights overlaps with another's graph. */
  async prepare({ ids, latents, unetBatch, clipSkip }: GenerationShapes): Promise<void> {
    const { textEncoder, unet } = this.#components;
    const { time_cond_proj_dim: guidanceWidth } = unet.config;
    await Promise.all([
      this.#textEncoder(ids, clipSkip),
      this.#unet(
        [unetBatch, ...latents.slice(1)],
        [unetBatch, ids[1]!, textEncoder.config.hidden_size],
        guidanceWidth === null ? undefined : [unetBatch, guidanceWidth],
      ),
      this.#decoder(latents),
    ]);
  }

  /**
   * The states that the UNet attends to. ids: [B, L] int64 → [B, L, D].
   * clipSkip: how many of the last layers to leave out.
   */
  async encodeText(ids: HostTensor, clipSkip: number, options?: RunOptions): Promise<HostTensor> {
    const executable = await this.#textEncoder(ids.shape, clipSkip);
    const { states } = await executable.run({ ids }, options);
    return states!;
  }

  /** What the UNet predicts, [B, C, h, w]. */
  async predict(
    { sample, timestep, states, guidance }: UNetInputs,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const executable = await this.#unet(sample.shape, states.shape, guidance?.shape);
    const batch = sample.shape[0]!;
    const timesteps = hostTensor(new Float32Array(batch).fill(timestep), [batch]);
    const inputs = { sample, timesteps, states, ...(guidance && { guidance }) };
    const { prediction } = await executable.run(inputs, options);
    return prediction!;
  }

  /** latents, as the UNet sees them: [B, C, h, w] → pixels [B, 3, H, W], about in [−1, 1] and not clamped. */
  async decode(latents: HostTensor, options?: RunOptions): Promise<HostTensor> {
    const executable = await this.#decoder(latents.shape);
    const { pixels } = await executable.run({ latents }, options);
    return pixels!;
  }

  async dispose(): Promise<void> {
    await this.#cache.dispose();
  }

  #textEncoder(ids: Shape, clipSkip: number): Promise<Executable> {
    const { textEncoder } = this.#components;
    const { config } = textEncoder;
    return this.#compiled('text encoder', textEncoder, [ids, clipSkip], (params) => {
      const { lastHiddenState, hiddenStates } = clipText(config, params, input('ids', ids, 'int64'));
      if (clipSkip === 0) return { states: lastHiddenState };
      return { states: clipFinalLayerNorm(config, params, hiddenStates.at(-1 - clipSkip)!) };
    });
  }

  #unet(sample: Shape, states: Shape, guidance: Shape | undefined): Promise<Executable> {
    const { unet } = this.#components;
    return this.#compiled('UNet', unet, [sample, states, guidance], (params) => ({
      prediction: unet2DCondition(unet.config, params, {
        sample: input('sample', sample),
        timestep: input('timesteps', [sample[0]!]),
        encoderHiddenStates: input('states', states),
        timestepCond: guidance && input('guidance', guidance),
      }),
    }));
  }

  #decoder(latents: Shape): Promise<Executable> {
    const { vae } = this.#components;
    return this.#compiled('VAE decoder', vae, [latents], (params) => ({
      pixels: vae.config.decode(params, input('latents', latents)),
    }));
  }

  #compiled(
    name: string,
    { location, weights }: Component<unknown>,
    variation: readonly unknown[],
    write: (params: Params) => Record<string, Tensor>,
  ): Promise<Executable> {
    return this.#cache.get(`${name} ${JSON.stringify(variation)}`, () => {
      const stored = paramsFromWeights(weights);
      const outputs = write(stored.params);
      stored.requireAll(location);
      return this.#engine.compile(program(outputs), { weights, name });
    });
  }
}
