/**
 * JSON as diffusers and transformers read it: indented as they write it, floats as floats. What `JSON.stringify` cannot
 * say is how a number is spelled; see number-spelling.ts.
 */
import type { JsonObject } from './json.ts';
import { spellingOf } from './number-spelling.ts';

export interface FormatJsonOptions {
  /** Members, at any depth, that Python programs take for floats: whole numbers there are written as `1.0`. */
  readonly floats?: ReadonlySet<string>;
}

/**
 * The bytes of a file: what `JSON.stringify(value, null, 2)` writes, but for numbers. Those that were read are spelled as
 * they were, and those that are not finite as Python does.
 */
export function formatJson(value: JsonObject, { floats = new Set() }: FormatJsonOptions = {}): Uint8Array {
  return new TextEncoder().encode(`${formatObject(value, '', floats)}\n`);
}

interface Place {
  readonly container: object;
  readonly key: string | number;
  /** Spaces before the line that the value begins in. */
  readonly indent: string;
  readonly isFloat: boolean;
}

function formatObject(object: JsonObject, indent: string, floats: ReadonlySet<string>): string {
  const members = Object.entries(object).filter(([, value]) => value !== undefined);
  const texts = members.map(([key, value]) => {
    const place = { container: object, key, indent: `${indent}  `, isFloat: floats.has(key) };
    return `${JSON.stringify(key)}: ${formatValue(value, place, floats)}`;
  });
  return enclosed('{', texts, '}', indent);
}

function formatValue(value: unknown, place: Place, floats: ReadonlySet<string>): string {
  const { container, key, indent, isFloat } = place;
  if (typeof value === 'number') return spellingOf(container, key, value) ?? formatNumber(value, isFloat);
  if (Array.isArray(value)) {
    const items = value.map((item, i) =>
      formatValue(item, { container: value, key: i, indent: `${indent}  `, isFloat }, floats),
    );
    return enclosed('[', items, ']', indent);
  }
  if (typeof value === 'object' && value !== null) return formatObject(value as JsonObject, indent, floats);
  return JSON.stringify(value) ?? 'null';
}

function formatNumber(value: number, isFloat: boolean): string {
  const text = String(value);
  return isFloat && /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function enclosed(open: string, parts: readonly string[], close: string, indent: string): string {
  if (parts.length === 0) return open + close;
  return `${open}\n${indent}  ${parts.join(`,\n${indent}  `)}\n${indent}${close}`;
}
