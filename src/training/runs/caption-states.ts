/**
 * Captions as frozen text encoders read them: each is encoded once, when it is needed for the first time, and not in
 * every step that sees it.
 */
import type { StoredNetwork } from '../../components/model-files.ts';
import { abortable } from '../../engines/abortable.ts';
import type { Engine, Executable } from '../../engines/engine.ts';
import { UsageError } from '../../errors.ts';
import { float32Data, type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { concat } from '../../graph/operators/index.ts';
import { type Program, program } from '../../graph/program.ts';
import { elementCount } from '../../graph/shape.ts';
import { input, type Tensor } from '../../graph/tensor.ts';
import { clipText, clipTextConfig, clipTextProjection } from '../../models/clip-text.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { paramsFromWeights, withPrefix } from '../../weights/source.ts';
import type { Weights } from '../../weights/weights.ts';
import type { Watch } from './pictures.ts';

/** A text encoder that is not trained, and the tokenizer that goes with it. */
export interface FrozenText {
  readonly network: StoredNetwork;
  readonly tokenizer: ClipTokenizer;
}

/** One text encoder, or the two of Stable Diffusion XL, for one caption at a time, so that its states depend on nothing else. */
export interface CaptionEncoder {
  /** `states` [1, L, D], and with two encoders `pooled` [1, P]. */
  readonly program: Program;
  readonly weights: Weights;
  /** The ids that the program is given for a caption. */
  ids(caption: string): Readonly<Record<string, HostTensor>>;
  /** Of the states of one caption: [L, D]. */
  readonly shape: readonly [number, number];
  /** P; undefined for one encoder. */
  readonly pooledWidth: number | undefined;
}

/** Throws InputError when weights are missing, UsageError when two encoders read texts of different lengths. */
export function captionEncoder(texts: readonly FrozenText[]): CaptionEncoder {
  const encoded = texts.map((text, i) => encode(text, { index: i, of: texts.length }));
  const [first, second] = encoded as [Encoded, Encoded | undefined];
  const [length, width] = first.states.shape.slice(1) as [number, number];
  const weights = new Map(encoded.flatMap((each) => [...each.weights]));
  const ids = (caption: string) =>
    Object.fromEntries(texts.map(({ tokenizer }, i) => [idsOf(i), tokenizer.tokenizeBatch([caption])]));
  if (!second) {
    return {
      program: program({ states: first.states }),
      weights,
      ids,
      shape: [length, width],
      pooledWidth: undefined,
    };
  }
  if (second.states.shape[1] !== length) {
    throw new UsageError(
      `${texts[0]!.network.location} reads ${length} tokens, ${texts[1]!.network.location} ${second.states.shape[1]} (max_position_embeddings); the two must agree`,
    );
  }
  const pooled = second.pooled!;
  const states = concat([first.states, second.states], 2);
  return {
    program: program({ states, pooled }),
    weights,
    ids,
    shape: [length, states.shape[2]!],
    pooledWidth: pooled.shape[1]!,
  };
}

interface Encoded {
  readonly states: Tensor;
  /** Of the second encoder. */
  readonly pooled: Tensor | undefined;
  readonly weights: Weights;
}

const idsOf = (index: number) => (index === 0 ? 'ids' : `ids_${index + 1}`);

function encode(
  { network: { config: json, weights, location } }: FrozenText,
  { index, of }: { readonly index: number; readonly of: number },
): Encoded {
  const config = clipTextConfig(json);
  const prefix = `text_encoder_${index + 1}/`;
  const named = withPrefix(weights, prefix);
  const text = paramsFromWeights(named, prefix);
  const ids = input(idsOf(index), [1, config.max_position_embeddings], 'int64');
  const { hiddenStates, lastHiddenState, pooled } = clipText(config, text.params, ids);
  const isSecond = index === 1;
  const encoded = {
    // Stable Diffusion XL attends to the layer before the last.
    states: of === 1 ? lastHiddenState : hiddenStates.at(-2)!,
    pooled: isSecond ? clipTextProjection(config, text.params, pooled) : undefined,
    weights: named,
  };
  text.requireAll(location);
  return encoded;
}

/** What captions are read as. */
export interface CaptionValues {
  /** [N, L, D]. */
  readonly states: HostTensor;
  /** [N, P], with two encoders. */
  readonly pooled: HostTensor | undefined;
}

/** The same of a single caption. */
interface Read {
  readonly states: Float32Array;
  readonly pooled: Float32Array | undefined;
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
  readonly #kept = new Map<string, Read>();
  #compiled: Promise<Executable> | undefined;
  /** The encoder reads one at a time. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(options: CaptionStatesOptions) {
    this.#options = options;
  }

  /** What captions are read as. Rejects as soon as the signal is aborted. */
  async of(captions: readonly string[]): Promise<CaptionValues> {
    const { shape, pooledWidth } = this.#options.encoder;
    const read: Read[] = [];
    for (const caption of captions) read.push(await this.#read(caption));
    const all = (values: readonly Float32Array[], each: readonly number[]) => {
      const size = elementCount(each);
      const joined = new Float32Array(captions.length * size);
      for (const [i, value] of values.entries()) joined.set(value, i * size);
      return hostTensor(joined, [captions.length, ...each]);
    };
    return {
      states: all(
        read.map(({ states }) => states),
        shape,
      ),
      pooled:
        pooledWidth === undefined
          ? undefined
          : all(
              read.map(({ pooled }) => pooled!),
              [pooledWidth],
            ),
    };
  }

  async close(): Promise<void> {
    await this.#reading;
    // An engine finishes what it is at before it lets go, and frees the rest itself when it is disposed of.
    if (!this.#options.signal?.aborted) await (await this.#compiled)?.dispose();
  }

  async #read(caption: string): Promise<Read> {
    const reading = this.#reading.then(() => this.#kept.get(caption) ?? this.#encode(caption));
    this.#reading = reading.catch(() => {}); // heard by whoever reads
    return reading;
  }

  async #encode(caption: string): Promise<Read> {
    const { encoder, engine, signal, onProgress, limit = LIMIT } = this.#options;
    if (!this.#compiled) onProgress?.({ type: 'phase', message: 'compiling the text encoder' });
    this.#compiled ??= engine.compile(encoder.program, { weights: encoder.weights, name: 'text encoder' });
    const executable = await abortable(this.#compiled, signal);
    const results = await executable.run(encoder.ids(caption), { signal });
    const read = {
      states: float32Data(results.states!),
      pooled: results.pooled && float32Data(results.pooled),
    };
    const bytes = read.states.byteLength + (read.pooled?.byteLength ?? 0);
    if ((this.#kept.size + 1) * bytes <= limit) this.#kept.set(caption, read);
    return read;
  }
}
