/** What the library calls a request's parts, as the flags that they are on the command line. */
import { UsageError } from '../../errors.ts';

/** `--guidance-scale` for `guidanceScale`. */
export function flagOf(setting: string): string {
  return `--${setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `guidanceScale` for `--guidance-scale`. */
export function settingOf(flag: string): string {
  return flag.replace(/^--/, '').replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** The message of an error, with the settings that it speaks of as flags. */
export function messageWithFlags(error: unknown): string {
  if (error instanceof UsageError) return error.messageWith(({ setting }) => flagOf(setting));
  return error instanceof Error ? error.message : String(error);
}
