/**
 * The settings of a kind of training as a list: each by its path, with its type, range, default and words. Flags, `--set`
 * and docs/training-settings.md are made from it.
 */
import { z } from 'zod';

/** What is told of a setting, as a part of JSON Schema. */
export interface SettingSchema {
  readonly type?: string;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly anyOf?: readonly SettingSchema[];
  readonly oneOf?: readonly SettingSchema[];
  readonly prefixItems?: readonly SettingSchema[];
  readonly items?: SettingSchema | false;
}

export interface ListedSetting {
  /** `optimizer.learningRate`. */
  readonly path: string;
  readonly schema: SettingSchema;
  /** What it is for. */
  readonly words: string;
  /** Of `data`: the kind of data that has it. */
  readonly dataKind?: string | undefined;
}

/** All settings, the ones in groups as well. */
export function listSettings(settings: z.ZodType): ListedSetting[] {
  return listed(z.toJSONSchema(settings, { unrepresentable: 'any' }) as SettingSchema, '');
}

function listed(schema: SettingSchema, prefix: string): ListedSetting[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    if (name === 'kind' && field.const !== undefined) return [];
    if (field.oneOf) return field.oneOf.flatMap((each) => ofData(path, each));
    if (path === 'data') return ofData(path, field);
    const inner = field.anyOf?.find(({ type }) => type !== 'null') ?? field;
    const own = { path, schema: field, words: field.description ?? inner.description ?? '' };
    if (!inner.properties) return [own];
    return [...(field.anyOf ? [own] : []), ...listed(inner, `${path}.`)];
  });
}

/** The settings of one kind of data. */
function ofData(path: string, schema: SettingSchema): ListedSetting[] {
  const dataKind = schema.properties!.kind!.const!;
  const own = { path, schema, words: schema.description ?? '', dataKind };
  return [own, ...listed(schema, `${path}.`).map((each) => ({ ...each, dataKind }))];
}
