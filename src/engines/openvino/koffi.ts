/**
 * Calls of C functions from JavaScript, by koffi. Its packages for single platforms hold the binary and nothing else;
 * the package koffi itself would run an install script, which this package's installation must do without.
 */
import { createRequire } from 'node:module';
import { InputError } from '../../errors.ts';

/** A function of a library, called with numbers, BigInts (pointers), texts, buffers and arrays for what it gives. */
export type NativeFunction = (...args: unknown[]) => unknown;

export interface NativeLibrary {
  /** By its declaration in C; throws when the library has no such function. */
  func(declaration: string): NativeFunction;
}

/** What is used of koffi. */
export interface Koffi {
  /** null: what the process has loaded already. */
  load(path: string | null): NativeLibrary;
  struct(name: string, members: Readonly<Record<string, string>>): unknown;
  address(memory: ArrayBufferView): bigint;
  decode(pointer: bigint, type: string, count: number): unknown;
}

export const koffiPackage = `@koromix/koffi-${process.platform}-${process.arch}`;

/** Throws InputError where the package for this platform is not installed. */
export function loadKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)(koffiPackage) as Koffi;
  } catch (error) {
    throw new InputError(
      `OpenVINO is called through ${koffiPackage}, which does not load: ${(error as Error).message.split('\n')[0]}; ` +
        `it is an optional dependency, so install without --omit=optional, or run "npm install ${koffiPackage}"`,
      { cause: error },
    );
  }
}

/** Where the elements of a view lie, also in memory that threads share. */
export function addressOf(koffi: Koffi, view: ArrayBufferView): bigint {
  // A small view lies in memory that the garbage collector moves until its buffer is asked for.
  return view.buffer.byteLength === 0 ? 0n : koffi.address(view);
}
