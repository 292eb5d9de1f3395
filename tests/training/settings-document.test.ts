/**
 * docs/training-settings.md is written from the settings themselves: `npx vitest run tests/training/settings-document.test.ts -u`
 * writes it anew.
 */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { z } from 'zod';
import { autoencoderSettings } from '../../src/training/runs/autoencoder-config.ts';
import { diffusionSettings } from '../../src/training/runs/diffusion-config.ts';
import { distillationSettings } from '../../src/training/runs/distillation-config.ts';
import { judgeSettings } from '../../src/training/runs/judge-config.ts';
import { listSettings, type SettingSchema } from '../../src/training/runs/setting-list.ts';
import { textSettings } from '../../src/training/runs/text-config.ts';

const kinds: Readonly<Record<string, z.ZodType>> = {
  autoencoder: autoencoderSettings('all'),
  diffusion: diffusionSettings,
  distill: distillationSettings,
  judge: judgeSettings,
  text: textSettings,
};

interface Row {
  readonly name: string;
  readonly type: string;
  readonly default: string;
  readonly words: string;
}

function rowsOf(settings: z.ZodType): Row[] {
  return listSettings(settings).map(({ path, schema, words, dataKind }) =>
    path === 'data'
      ? { name: path, type: `{"kind": "${dataKind}", …}`, default: '', words }
      : { name: path, type: typeOf(schema), default: shown(schema.default), words },
  );
}

function typeOf(schema: SettingSchema): string {
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ');
  if (schema.enum) return schema.enum.map((value) => `"${value}"`).join(', ');
  if (schema.prefixItems) return `a list of ${schema.prefixItems.length}: ${typeOf(schema.prefixItems[0]!)}`;
  if (schema.items) return `a list: ${typeOf(schema.items)}`;
  const { minimum, exclusiveMinimum: above, exclusiveMaximum: below, type } = schema;
  const names: Readonly<Record<string, string>> = {
    integer: 'whole number',
    string: 'text',
    boolean: 'true or false',
  };
  const maximum = schema.maximum === Number.MAX_SAFE_INTEGER ? undefined : schema.maximum;
  const range = [
    minimum === undefined ? (above === undefined ? '' : ` above ${above}`) : ` from ${minimum}`,
    maximum === undefined ? (below === undefined ? '' : ` below ${below}`) : ` to ${maximum}`,
  ];
  return `${type === undefined ? 'object' : (names[type] ?? type)}${range.join('')}`;
}

function shown(value: unknown): string {
  return value === undefined ? '' : `\`${JSON.stringify(value)}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const cells = (row: Row) => [`\`${row.name}\``, row.type, row.default, row.words];

it('says what the settings are', async () => {
  const all = Object.entries(kinds).map(([kind, schema]) => {
    return { kind, rows: rowsOf(schema) };
  });
  const [first, ...others] = all;
  const common = first!.rows.filter(({ name, type }) =>
    others.every(
      ({ rows }) => rows.some((row) => row.name === name && row.type === type) || name.startsWith('data'),
    ),
  );
  const defaultsOf = (name: string) => {
    const each = all.map(({ rows }) => rows.find((row) => row.name === name)?.default ?? '');
    return new Set(each).size === 1 || name.startsWith('data') ? each[0]! : each.join(', ');
  };
  const sections = all.map(({ kind, rows }) => {
    const command = kind === 'distill' ? 'lcm distill' : `lcm train ${kind}`;
    const own = rows.filter((row) => !common.some(({ name }) => name === row.name));
    return `## Of \`${command}\` alone\n\n${table(['setting', 'type', 'default', 'what it is for'], own.map(cells))}\n`;
  });
  const text = `# Settings of trainings

For \`--config settings.json\`; \`--dry-run\` shows them all as they would be used. Names, types and ranges are checked. A name
with dots is a field in a field: \`{"optimizer": {"learningRate": 0.001}}\`. \`--steps\`, \`--batch\`, \`--seed\` and \`--learning-rate\`
take precedence over the file. This page is written from the settings in the code.

## Of every training

Where defaults differ, they are those of ${all.map(({ kind }) => `\`${kind}\``).join(', ')}, in this order.

${table(
  ['setting', 'type', 'default', 'what it is for'],
  common.map((row) => cells({ ...row, default: defaultsOf(row.name) })),
)}

${sections.join('\n')}`;
  const path = fileURLToPath(new URL('../../docs/training-settings.md', import.meta.url));
  await expect(text).toMatchFileSnapshot(path);
});
