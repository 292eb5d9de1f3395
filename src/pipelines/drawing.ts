/** Pictures while they are drawn: one object that is awaited, iterated, or both. */
import type { Generation, GenerationStep } from './generation.ts';

type Reached = IteratorResult<GenerationStep, Generation>;

/** A place on the way: before the first step, where there is no result; a step; or the end. */
interface Place {
  readonly result?: Promise<Reached>;
  /** Once somebody has asked for it. */
  next?: Place;
}

/**
 * What `pipeline.generate` gives. Awaited it is the result; iterated it is its steps, one after the other.
 *
 * ```ts
 * const { images } = await pipeline.generate({ prompt: 'a fox' });
 *
 * const drawing = pipeline.generate({ prompt: 'a fox' });
 * for await (const step of drawing) show(await step.preview());
 * const { settings } = await drawing;
 * ```
 *
 * Nothing is drawn before somebody asks, and nothing is drawn twice. An iteration alone sets the pace: the next step is
 * drawn when it is asked for. Whoever awaits asks for all of them; an iteration beside that sees every step that was not
 * drawn yet when it began. Leaving an iteration before its end cancels the drawing, and awaiting it then rejects
 * with an AbortError; an error rejects the iteration and whoever awaits, and nobody else.
 *
 * An `async` function that returns a drawing returns its result, as with every promise: hand it on in an object.
 */
export class Drawing implements AsyncIterable<GenerationStep, undefined>, Promise<Generation> {
  readonly [Symbol.toStringTag] = 'Drawing';
  readonly #steps: AsyncGenerator<GenerationStep, Generation>;
  #isCancelled = false;
  /** What is drawn already ends here. */
  #reached: Place = {};
  #generation: Promise<Generation> | undefined;

  /** @internal */
  constructor(steps: AsyncGenerator<GenerationStep, Generation>) {
    this.#steps = steps;
  }

  [Symbol.asyncIterator](): AsyncGenerator<GenerationStep, undefined> {
    return this.#iterate(this.#reached);
  }

  // biome-ignore lint/suspicious/noThenProperty: that it can be awaited is what it is for.
  then<T = Generation, E = never>(
    onFulfilled?: ((generation: Generation) => T | PromiseLike<T>) | null,
    onRejected?: ((reason: unknown) => E | PromiseLike<E>) | null,
  ): Promise<T | E> {
    this.#generation ??= this.#finish();
    return this.#generation.then(onFulfilled, onRejected);
  }

  catch<E = never>(onRejected?: ((reason: unknown) => E | PromiseLike<E>) | null): Promise<Generation | E> {
    return this.then(undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<Generation> {
    return this.then().finally(onFinally);
  }

  async *#iterate(from: Place): AsyncGenerator<GenerationStep, undefined> {
    try {
      for (let place = from; ; ) {
        place = this.#after(place);
        const { done, value } = await place.result!;
        if (done) return;
        yield value;
      }
    } finally {
      // This changes nothing for a drawing that has come to its end.
      this.#isCancelled = true;
      await this.#steps.return(undefined as never);
    }
  }

  async #finish(): Promise<Generation> {
    for (let place = this.#reached; ; ) {
      place = this.#after(place);
      const { done, value } = await place.result!;
      if (done) return value;
    }
  }

  /** The next place, drawn once for all who ask for it. */
  #after(place: Place): Place {
    if (place.next !== undefined) return place.next;
    const result = this.#draw(place.result);
    const next: Place = { result };
    const reach = () => {
      this.#reached = next;
    };
    result.then(reach, reach);
    place.next = next;
    return next;
  }

  /** After the end, and after an error, the same again. */
  async #draw(before: Promise<Reached> | undefined): Promise<Reached> {
    const reached = await before;
    if (reached?.done) return reached;
    if (this.#isCancelled) {
      throw new DOMException('the drawing was cancelled: its steps were left before the end', 'AbortError');
    }
    return this.#steps.next();
  }
}
