/** What a request may say as a JSON schema, for those who ask over a wire: made from the table of settings. */
import { type RequestSetting, requestSettings, type SettingName, settingNames } from './request-settings.ts';
import type { SettingKind } from './setting-kinds.ts';

/** The part of JSON Schema 2020-12 that is needed. */
export interface JsonSchema {
  readonly $schema?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: 'object' | 'string' | 'integer' | 'number' | 'array';
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly contentEncoding?: 'base64';
}

/** Generators, signals and functions are nothing that JSON has; pictures are files in base64. */
export function requestSchema(): JsonSchema {
  const properties = settingNames.flatMap((name) => {
    const schema = schemaOf(name);
    return schema === undefined ? [] : [[name, schema] as const];
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A request for pictures',
    type: 'object',
    properties: Object.fromEntries(properties),
    required: ['prompt'],
    additionalProperties: false,
  };
}

function schemaOf(name: SettingName): JsonSchema | undefined {
  const { kind, list, words, description, otherwise }: RequestSetting = requestSettings[name];
  const one = schemaOfKind(kind);
  if (one === undefined) return undefined;
  const about = { title: words, description: `${description} (default: ${otherwise})` };
  return list ? { ...about, anyOf: [one, { type: 'array', items: one, minItems: 1 }] } : { ...about, ...one };
}

function schemaOfKind(kind: SettingKind): JsonSchema | undefined {
  switch (kind.type) {
    case 'text':
      return { type: 'string', maxLength: kind.longest };
    case 'choice':
      return { type: 'string', enum: kind.values };
    case 'integer':
      return {
        type: 'integer',
        ...rangeOf({ least: -Number.MAX_SAFE_INTEGER, most: Number.MAX_SAFE_INTEGER, ...kind }),
      };
    case 'number':
      return { type: 'number', ...rangeOf(kind) };
    case 'integers': {
      const count = kind.parts?.length;
      const items: JsonSchema = { type: 'integer', ...rangeOf(kind) };
      return { type: 'array', items, ...(count !== undefined && { minItems: count, maxItems: count }) };
    }
    case 'image':
      return { type: 'string', contentEncoding: 'base64' };
    case 'generator':
    case 'signal':
    case 'function':
      return undefined;
  }
}

function rangeOf({ least, above, most }: { least?: number; above?: number; most?: number }): JsonSchema {
  return {
    ...(least !== undefined && { minimum: least }),
    ...(above !== undefined && { exclusiveMinimum: above }),
    ...(most !== undefined && { maximum: most }),
  };
}
