/**
 * Captions as a frozen text encoder reads them: each is encoded once, when it is needed for the first time, and not in
 * every step that sees it.
 */
import type { StoredNetwork } from '../../components/model-files.ts';
import { abortable } from '../../engines/abortable.ts';
import type { Engine, Executable } from '../../engines/engine.ts';
import { float32Data, type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { type Program, program } from '../../graph/program.ts';
import { input } from '../../graph/tensor.ts';
import { clipText, clipTextConfig } from '../../models/clip-text.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { paramsFromWeights } from '../../weights/source.ts';
import type { Weights } from '../../weights/weights.ts';
import type { Watch } from './pictures.ts';

/** A text encoder, for one caption at a time, so that its states depend on nothing else. */
export interface CaptionEncoder {
  readonly program: Program;
  readonly weights: Weights;
  readonly tokenizer: ClipTokenizer;
  /** Of the states of one caption: [L, D]. */
  readonly shape: readonly [number, number];
}

/** Throws InputError when weights are missing. */
export function captionEncoder(stored: StoredNetwork, tokenizer: ClipTokenizer): CaptionEncoder {
  const config = clipTextConfig(stored.config);
  const length = config.max_position_embeddings;
  const text = paramsFromWeights(stored.weights);
  const { lastHiddenState } = clipText(config, text.params, input('ids', [1, length], 'int64'));
  text.requireAll(stored.location);
  return {
    program: program({ states: lastHiddenState }),
    weights: stored.weights,
    tokenizer,
    shape: [length, config.hidden_size],
  };
}

export interface CaptionStatesOptions extends Watch {
  readonly engine: Engine;
  readonly encoder: CaptionEncoder;
  /** Bytes of states that are kept; captions that come later are encoded whenever they are needed. */
  readonly limit?: number;
}

/** A tenth of what small machines have: the states of two thousand captions of Stable Diffusion 1. */
const LIMIT = 2 ** 29;

export class CaptionStates {
  readonly #options: CaptionStatesOptions;
  /** By caption. */
  readonly #kept = new Map<string, Float32Array>();
  #compiled: Promise<Executable> | undefined;
  /** The encoder reads one at a time. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(options: CaptionStatesOptions) {
    this.#options = options;
  }

  /** The states of captions, [N, L, D]. Rejects as soon as the signal is aborted. */
  async of(captions: readonly string[]): Promise<HostTensor> {
    const [length, width] = this.#options.encoder.shape;
    const states = new Float32Array(captions.length * length * width);
    for (const [i, caption] of captions.entries()) {
      states.set(await this.#read(caption), i * length * width);
    }
    return hostTensor(states, [captions.length, length, width]);
  }

  async close(): Promise<void> {
    await this.#reading;
    // An engine finishes what it is at before it lets go, and frees the rest itself when it is disposed of.
    if (!this.#options.signal?.aborted) await (await this.#compiled)?.dispose();
  }

  async #read(caption: string): Promise<Float32Array> {
    const reading = this.#reading.then(() => this.#kept.get(caption) ?? this.#encode(caption));
    this.#reading = reading.catch(() => {}); // heard by whoever reads
    return reading;
  }

  async #encode(caption: string): Promise<Float32Array> {
    const { encoder, engine, signal, onProgress, limit = LIMIT } = this.#options;
    if (!this.#compiled) onProgress?.({ type: 'phase', message: 'compiling the text encoder' });
    this.#compiled ??= engine.compile(encoder.program, { weights: encoder.weights, name: 'text encoder' });
    const executable = await abortable(this.#compiled, signal);
    const ids = encoder.tokenizer.tokenizeBatch([caption]);
    const states = float32Data((await executable.run({ ids }, { signal })).states!);
    if ((this.#kept.size + 1) * states.byteLength <= limit) this.#kept.set(caption, states);
    return states;
  }
}
