/**
 * Pictures encoded once: latents as float16 in memory and in a safetensors file, so that training does not run the
 * encoder again and again. The file grows in order while pictures are needed for the first time; its size says how far
 * it came, so a run that was killed goes on where it stopped.
 */
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Executable } from '../engines/engine.ts';
import { UsageError } from '../errors.ts';
import { float16ToFloat32, float32ToFloat16 } from '../graph/float16.ts';
import { float32Data, hostTensor } from '../graph/host-tensor.ts';
import { elementCount, type Shape } from '../graph/shape.ts';
import { LENGTH_BYTES, planSafetensors, readHeaderLength } from '../weights/safetensors.ts';
import type { PictureSource } from './picture-source.ts';

export interface LatentsCacheOptions {
  /** The file; while it is not complete it is called `<path>.partial`. */
  readonly path: string;
  /** Pictures in the cache: indices 0 to count − 1 of the source. */
  readonly count: number;
  readonly source: PictureSource;
  /** Takes `pixels` [N, 3, H, W] and gives `latents` [N, C, h, w], N = `encodeBatch`. */
  readonly encoder: Executable;
  readonly encodeBatch: number;
  /** Of one picture: [C, h, w]. */
  readonly shape: Shape;
  /** Says what was encoded by what; a file made for something else is refused. */
  readonly description: Readonly<Record<string, string>>;
}

export class LatentsCache {
  readonly #options: LatentsCacheOptions;
  readonly #values: Uint16Array;
  readonly #size: number;
  readonly #headBytes: number;
  readonly #file: FileHandle;
  #done: number;
  #filling: Promise<void> = Promise.resolve();

  private constructor(
    options: LatentsCacheOptions,
    values: Uint16Array,
    file: FileHandle,
    head: number,
    done: number,
  ) {
    this.#options = options;
    this.#values = values;
    this.#size = elementCount(options.shape);
    this.#file = file;
    this.#headBytes = head;
    this.#done = done;
  }

  /** Opens or begins the file. Throws UsageError when it holds the latents of something else. */
  static async open(options: LatentsCacheOptions): Promise<LatentsCache> {
    const { path, count, shape, description } = options;
    const size = elementCount(shape);
    const values = new Uint16Array(count * size);
    const { head } = planSafetensors(
      new Map([['latents', { dtype: 'float16', shape: [count, ...shape], data: values }]]),
      description,
    );
    await mkdir(dirname(path), { recursive: true });
    const complete = await openExisting(path);
    const file =
      complete ?? (await openExisting(`${path}.partial`)) ?? (await open(`${path}.partial`, 'wx+'));
    try {
      const present = (await file.stat()).size;
      const known = present < head.byteLength ? undefined : await readAt(file, 0, head.byteLength);
      if (known && !Buffer.from(head).equals(known))
        throw new UsageError(await otherContent(file, path, description));
      if (!known) await writeAt(file, head, 0);
      const done = known ? Math.floor((present - head.byteLength) / (2 * size)) : 0;
      const bytes = await readAt(file, head.byteLength, done * size * 2);
      values.set(new Uint16Array(bytes.buffer, bytes.byteOffset, done * size));
      return new LatentsCache(options, values, file, head.byteLength, done);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Pictures encoded so far. */
  get done(): number {
    return this.#done;
  }

  /** Latents of the pictures, [N, C, h, w]; those before the largest index are encoded first if they are not yet. */
  async read(indices: readonly number[]): Promise<Float32Array> {
    const needed = Math.max(...indices) + 1;
    if (needed > this.#options.count) {
      throw new RangeError(`picture ${needed - 1} of a cache of ${this.#options.count}`);
    }
    this.#filling = this.#filling.then(() => this.#fill(needed));
    await this.#filling;
    const result = new Float32Array(indices.length * this.#size);
    indices.forEach((index, i) => {
      const latents = this.#values.subarray(index * this.#size, (index + 1) * this.#size);
      result.set(float16ToFloat32(latents), i * this.#size);
    });
    return result;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #fill(needed: number): Promise<void> {
    const { count, source, encoder, encodeBatch, path } = this.#options;
    while (this.#done < needed) {
      // Always the same batches, so that a resumed cache is equal to one that was made at once.
      const start = Math.floor(this.#done / encodeBatch) * encodeBatch;
      const indices = Array.from({ length: encodeBatch }, (_, i) => Math.min(start + i, count - 1));
      const pixels = hostTensor(await source.pixels(indices), [encodeBatch, 3, source.height, source.width]);
      const { latents } = await encoder.run({ pixels });
      const end = Math.min(start + encodeBatch, count);
      const encoded = float32ToFloat16(float32Data(latents!).subarray(0, (end - start) * this.#size));
      this.#values.set(encoded, start * this.#size);
      await writeAt(this.#file, encoded, this.#headBytes + start * this.#size * 2);
      this.#done = end;
      if (end === count) {
        await this.#file.sync();
        await rename(`${path}.partial`, path);
      }
    }
  }
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  return open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, Math.min(length - done, 2 ** 30), offset + done);
    if (bytesRead === 0) throw new Error('the latents cache became shorter while it was read');
    done += bytesRead;
  }
  return bytes;
}

async function writeAt(file: FileHandle, data: Uint8Array | Uint16Array, offset: number): Promise<void> {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  for (let done = 0; done < bytes.byteLength; ) {
    done += (await file.write(bytes, done, bytes.byteLength - done, offset + done)).bytesWritten;
  }
}

/** The message for a file whose header is not the expected one. */
async function otherContent(
  file: FileHandle,
  path: string,
  description: Readonly<Record<string, string>>,
): Promise<string> {
  const { size } = await file.stat();
  const length = readHeaderLength(await readAt(file, 0, LENGTH_BYTES), size, path);
  const json = JSON.parse(new TextDecoder().decode(await readAt(file, LENGTH_BYTES, length))) as {
    __metadata__?: Record<string, string>;
  };
  const found = json.__metadata__ ?? {};
  const other = Object.keys(description).find((name) => found[name] !== description[name]);
  const difference = other
    ? `its ${other} is ${found[other]}, expected ${description[other]}`
    : 'it has another number of pictures or another shape';
  return `${path} holds the latents of other pictures: ${difference}; delete it or name another file`;
}
