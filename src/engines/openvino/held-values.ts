/**
 * Weights and constants at addresses in memory, from where OpenVINO reads them, for models whose values do not lie in
 * files that it can open itself.
 */
import type { Program } from '../../graph/program.ts';
import { storedBytes } from '../../weights/load-tensors.ts';
import type { Storage, Weights } from '../../weights/weights.ts';
import { turn } from '../thread/turn.ts';
import { addressOf, loadKoffi } from './koffi.ts';

/** After copying this many bytes, the event loop gets its turn. */
const COPY_AT_ONCE = 2 ** 25;

export class HeldValues {
  readonly #koffi = loadKoffi();
  readonly #addresses = new Map<Storage, bigint>();
  /** Copies: what the caller holds stays theirs. */
  readonly #values: Uint8Array[] = [];

  /** Copies, or reads, the weights of a program. */
  static async of({ parameters }: Program, weights: Weights): Promise<HeldValues> {
    const held = new HeldValues();
    let copied = 0;
    for (const name of parameters.keys()) {
      const storage = weights.get(name)?.storage;
      if (!storage) continue;
      const stored = await storedBytes(storage);
      held.#addresses.set(storage, held.#hold(storage.kind === 'bytes' ? stored.slice() : stored));
      copied += stored.byteLength;
      if (copied < COPY_AT_ONCE) continue;
      await turn();
      copied = 0;
    }
    return held;
  }

  /** Of a weight, or of a constant, which is copied now. */
  addressOf(storage: Storage): bigint {
    const known = this.#addresses.get(storage);
    if (known !== undefined) return known;
    if (storage.kind !== 'bytes') throw new Error('a weight of the program is not held');
    return this.#hold(storage.bytes.slice());
  }

  /** To be called when OpenVINO reads them no more. */
  free(): void {
    this.#addresses.clear();
    this.#values.length = 0;
  }

  #hold(bytes: Uint8Array): bigint {
    this.#values.push(bytes);
    return addressOf(this.#koffi, bytes);
  }
}
