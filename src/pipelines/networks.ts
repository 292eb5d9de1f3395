/** The networks of a model as functions from values to values; each is compiled once for every shape it meets. */
import type { Engine, Executable, RunOptions } from '../engines/engine.ts';
import { ExecutableCache } from '../engines/executable-cache.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import { input, type Tensor } from '../graph/tensor.ts';
import type { Params } from '../layers/params.ts';
import { clipFinalLayerNorm, clipText, clipTextProjection } from '../models/clip-text.ts';
import { unet2DCondition } from '../models/unet-2d-condition.ts';
import { type AppliedLora, withLoras } from '../weights/lora.ts';
import type { LoraComponent } from '../weights/lora-file.ts';
import { paramsFromWeights } from '../weights/source.ts';
import type { Component, Components } from './components.ts';

export interface UNetInputs {
  /** Noisy latents, [B, C, h, w]; for inpainting UNets with mask and masked picture as further channels. */
  readonly sample: HostTensor;
  /** The same for the whole batch, 0 to 999. */
  readonly timestep: number;
  /** States of the text encoder, [B, L, D]. */
  readonly states: HostTensor;
  /** Guidance embedding, [B, E], for UNets that take one. */
  readonly guidance?: HostTensor | undefined;
  readonly added?: AddedConditions | undefined;
}

/** What SDXL's UNet is told besides the states. */
export interface AddedConditions {
  /** Pooled prompts, [B, P]. */
  readonly textEmbeds: HostTensor;
  /** Original height and width, top and left of the crop, target height and width: [B, 6] float32. */
  readonly timeIds: HostTensor;
}

/** A Gaussian over latents, or the latents themselves. */
export interface EncodedPicture {
  /** [1, C, h, w], as the UNet sees them. */
  readonly mean: HostTensor;
  /** Standard deviation, [1, C, h, w]; undefined for autoencoders that have none. */
  readonly deviation: HostTensor | undefined;
}

/** The shapes that a generation will need. */
export interface GenerationShapes {
  /** Token ids for each text encoder, [U, L]. */
  readonly ids: readonly Shape[];
  readonly latents: Shape;
  /** Of the picture to begin with, [1, 3, H, W]; undefined for text-to-image. */
  readonly pixels: Shape | undefined;
  /** Images in one pass of the UNet: the batch, or twice the batch with classifier-free guidance. */
  readonly unetBatch: number;
  readonly clipSkip: number;
}

export class Networks {
  readonly #components: Components;
  readonly #engine: Engine;
  readonly #loras: readonly AppliedLora[];
  readonly #cache = new ExecutableCache();

  constructor(components: Components, engine: Engine, loras: readonly AppliedLora[] = []) {
    this.#components = components;
    this.#engine = engine;
    this.#loras = loras;
  }

  /** Compiles everything at once, so that the reading of one network's weights overlaps with another's graph. */
  async prepare({ ids, latents, pixels, unetBatch, clipSkip }: GenerationShapes): Promise<void> {
    const { unet, second } = this.#components;
    const { time_cond_proj_dim: guidanceWidth, in_channels, cross_attention_dim } = unet.config;
    await Promise.all([
      ...(second
        ? ids.map((shape, i) => this.#xlTextEncoder(i === 0 ? 'first' : 'second', shape, clipSkip))
        : [this.#textEncoder(ids[0]!, clipSkip)]),
      this.#unet(
        [unetBatch, in_channels, ...latents.slice(2)],
        [unetBatch, ids[0]![1]!, cross_attention_dim],
        guidanceWidth === null ? undefined : [unetBatch, guidanceWidth],
        second && {
          textEmbeds: [unetBatch, second.textEncoder.config.projection_dim],
          timeIds: [unetBatch, 6],
        },
      ),
      ...(pixels ? [this.#encoder(pixels)] : []),
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

  /**
   * The states of one of SDXL's text encoders, not normalised, from the layer before the last or `clipSkip` layers
   * earlier; the second also gives the pooled prompt. ids: [B, L] int64 → [B, L, D] and [B, P].
   */
  async encodeTextXL(
    which: 'first' | 'second',
    ids: HostTensor,
    clipSkip: number,
    options?: RunOptions,
  ): Promise<{ readonly states: HostTensor; readonly pooled: HostTensor | undefined }> {
    const executable = await this.#xlTextEncoder(which, ids.shape, clipSkip);
    const { states, pooled } = await executable.run({ ids }, options);
    return { states: states!, pooled };
  }

  /** What the UNet predicts, [B, C, h, w]. */
  async predict(
    { sample, timestep, states, guidance, added }: UNetInputs,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const addedShapes = added && { textEmbeds: added.textEmbeds.shape, timeIds: added.timeIds.shape };
    const executable = await this.#unet(sample.shape, states.shape, guidance?.shape, addedShapes);
    const batch = sample.shape[0]!;
    const timesteps = hostTensor(new Float32Array(batch).fill(timestep), [batch]);
    const inputs = { sample, timesteps, states, ...(guidance && { guidance }), ...added };
    const { prediction } = await executable.run(inputs, options);
    return prediction!;
  }

  /** pixels: [1, 3, H, W] in [−1, 1] → what the autoencoder's encoder says, [1, C, h, w]. */
  async encode(pixels: HostTensor, options?: RunOptions): Promise<EncodedPicture> {
    const executable = await this.#encoder(pixels.shape);
    const { mean, deviation } = await executable.run({ pixels }, options);
    return { mean: mean!, deviation };
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
    return this.#compiled('text encoder', 'text_encoder', textEncoder, [ids, clipSkip], (params) => {
      const { lastHiddenState, hiddenStates } = clipText(config, params, input('ids', ids, 'int64'));
      if (clipSkip === 0) return { states: lastHiddenState };
      return { states: clipFinalLayerNorm(config, params, hiddenStates.at(-1 - clipSkip)!) };
    });
  }

  #xlTextEncoder(which: 'first' | 'second', ids: Shape, clipSkip: number): Promise<Executable> {
    const { textEncoder, second } = this.#components;
    const component = which === 'first' ? textEncoder : second!.textEncoder;
    const name = which === 'first' ? 'text_encoder' : 'text_encoder_2';
    return this.#compiled(
      `${which} text encoder`,
      name,
      component,
      [ids, clipSkip],
      (params): Record<string, Tensor> => {
        const { hiddenStates, pooled } = clipText(component.config, params, input('ids', ids, 'int64'));
        const states = hiddenStates.at(-2 - clipSkip)!;
        if (which === 'first') return { states };
        return { states, pooled: clipTextProjection(component.config, params, pooled) };
      },
    );
  }

  #unet(
    sample: Shape,
    states: Shape,
    guidance: Shape | undefined,
    added: Record<keyof AddedConditions, Shape> | undefined,
  ): Promise<Executable> {
    const { unet } = this.#components;
    return this.#compiled('UNet', 'unet', unet, [sample, states, guidance, added], (params) => ({
      prediction: unet2DCondition(unet.config, params, {
        sample: input('sample', sample),
        timestep: input('timesteps', [sample[0]!]),
        encoderHiddenStates: input('states', states),
        timestepCond: guidance && input('guidance', guidance),
        addedCond: added && {
          textEmbeds: input('textEmbeds', added.textEmbeds),
          timeIds: input('timeIds', added.timeIds),
        },
      }),
    }));
  }

  #encoder(pixels: Shape): Promise<Executable> {
    const { vae } = this.#components;
    return this.#compiled('VAE encoder', undefined, vae, [pixels], (params) => ({
      ...vae.config.encode(params, input('pixels', pixels)),
    }));
  }

  #decoder(latents: Shape): Promise<Executable> {
    const { vae } = this.#components;
    return this.#compiled('VAE decoder', undefined, vae, [latents], (params) => ({
      pixels: vae.config.decode(params, input('latents', latents)),
    }));
  }

  /** adaptable: what LoRAs call the network; undefined where there are none for it. */
  #compiled(
    name: string,
    adaptable: LoraComponent | undefined,
    { location, weights }: Component<unknown>,
    variation: readonly unknown[],
    write: (params: Params) => Record<string, Tensor>,
  ): Promise<Executable> {
    return this.#cache.get(`${name} ${JSON.stringify(variation)}`, () => {
      const stored = paramsFromWeights(weights);
      const adapted = adaptable && withLoras(stored.params, adaptable, this.#loras);
      const outputs = write(adapted?.params ?? stored.params);
      stored.requireAll(location);
      adapted?.requireUsed();
      const all = adapted && adapted.weights.size > 0 ? new Map([...weights, ...adapted.weights]) : weights;
      return this.#engine.compile(program(outputs), { weights: all, name });
    });
  }
}
