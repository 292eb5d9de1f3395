/** What a setting of a request can be: told, looked for in whatever JavaScript gives, and said in words. */
import { Generator } from '../random/generator.ts';

/** What a setting can be. Numbers are finite, whole numbers exact. */
export type SettingKind =
  | { readonly type: 'text'; readonly longest: number }
  | { readonly type: 'integer'; readonly least?: number; readonly most?: number }
  | { readonly type: 'number'; readonly least?: number; readonly above?: number; readonly most?: number }
  | { readonly type: 'choice'; readonly values: readonly string[] }
  /** A list, of the parts that are named or of any number. */
  | {
      readonly type: 'integers';
      readonly parts?: readonly string[];
      readonly least: number;
      readonly most: number;
    }
  | { readonly type: 'image' }
  | { readonly type: 'generator' }
  | { readonly type: 'signal' }
  | { readonly type: 'function' };

/** Of a setting that may be a list: of each of its values. */
export function isOfKind(kind: SettingKind, value: unknown): boolean {
  switch (kind.type) {
    case 'text':
      return typeof value === 'string' && value.length <= kind.longest;
    case 'integer':
      return Number.isSafeInteger(value) && isWithin(value as number, kind);
    case 'number':
      return Number.isFinite(value) && isWithin(value as number, kind);
    case 'choice':
      return kind.values.some((choice) => choice === value);
    case 'integers': {
      const { parts, least, most } = kind;
      if (!Array.isArray(value) || value.length !== (parts?.length ?? value.length)) return false;
      // As long a list as there can be values, at most; and an array may have holes.
      if (value.length > most - least + 1) return false;
      return Array.from(value).every((item) => isOfKind({ type: 'integer', least, most }, item));
    }
    case 'image':
      return isImage(value);
    case 'generator':
      return value instanceof Generator;
    case 'signal':
      return isSignal(value);
    case 'function':
      return typeof value === 'function';
  }
}

function isWithin(
  value: number,
  {
    least = -Infinity,
    most = Infinity,
    above = -Infinity,
  }: { least?: number; most?: number; above?: number },
): boolean {
  return value >= least && value <= most && value > above;
}

/** Of any realm: tests and frames have classes of their own. */
function isSignal(value: unknown): boolean {
  const { aborted, addEventListener, throwIfAborted } = Object(value) as Partial<AbortSignal>;
  return (
    [typeof aborted, typeof addEventListener, typeof throwIfAborted].join() === 'boolean,function,function'
  );
}

function isImage(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { width, height, channels, data } = value as Record<string, unknown>;
  const isSide = (size: unknown): size is number => isOfKind({ type: 'integer', least: 1 }, size);
  if (!isSide(width) || !isSide(height) || (channels !== 3 && channels !== 4)) return false;
  return data instanceof Uint8Array && data.length === width * height * channels;
}

/** What a value has to be: `a whole number from 1 to 10000`. */
export function kindInWords(kind: SettingKind): string {
  switch (kind.type) {
    case 'text':
      return `a text of at most ${kind.longest} characters`;
    case 'integer':
      return `a whole number${rangeInWords(kind)}`;
    case 'number':
      return `a number${rangeInWords(kind)}`;
    case 'choice':
      return `one of ${kind.values.join(', ')}`;
    case 'integers': {
      const what = kind.parts ? `a list [${kind.parts.join(', ')}]` : 'a list';
      return `${what} of whole numbers${rangeInWords(kind)}`;
    }
    case 'image':
      return 'an image { width, height, channels, data } with a Uint8Array of width · height · channels bytes, 3 or 4 channels';
    case 'generator':
      return 'a Generator';
    case 'signal':
      return 'an AbortSignal';
    case 'function':
      return 'a function';
  }
}

function rangeInWords({ least, most, above }: { least?: number; most?: number; above?: number }): string {
  if (above !== undefined) return ` above ${above}${most === undefined ? '' : `, up to ${most}`}`;
  if (least === undefined) return most === undefined ? '' : ` up to ${most}`;
  return ` from ${least}${most === undefined ? '' : ` to ${most}`}`;
}

/** Kinds whose values texts can stand for. */
type TextKind = Exclude<SettingKind, { readonly type: 'image' | 'generator' | 'signal' | 'function' }>;

/** Whether texts can stand for what the setting is. */
export function hasTexts(kind: SettingKind): kind is TextKind {
  return !['image', 'generator', 'signal', 'function'].includes(kind.type);
}

/** What a text stands for, whether or not it is within the range: lists have commas between their parts. */
export function valueFromText(kind: TextKind, text: string): unknown {
  switch (kind.type) {
    case 'text':
    case 'choice':
      return text;
    case 'integer':
      return /^[+-]?\d+$/.test(text) ? Number(text) : undefined;
    case 'number':
      return text.trim() === '' ? undefined : Number(text);
    case 'integers':
      return text.split(',').map((part) => valueFromText({ type: 'integer' }, part.trim()));
  }
}
