import { expect, it } from 'vitest';
import { isAtLeast, readCpuinfo } from './machine.ts';

it.each([
  ['20.19.0', '20.19', true],
  ['20.9.3', '20.19', false],
  ['22.1.0', '20.19', true],
  ['18.20.4', '20.19', false],
  ['20.19', '20.19.1', false],
])('version %s against %s', (version, required, suffices) => {
  expect(isAtLeast(version, required)).toBe(suffices);
});

it('counts cores, and names the instruction sets', () => {
  const block = (id: number, core: number) =>
    `processor\t: ${id}\nmodel name\t: X\nphysical id\t: 0\ncore id\t\t: ${core}\nflags\t\t: fpu fma avx2 avx512f amx_tile sse2\n`;
  const x64 = readCpuinfo([block(0, 0), block(1, 1), block(2, 0), block(3, 1)].join('\n'));
  expect(x64).toEqual({ cores: 2, instructions: ['AVX2', 'FMA', 'AVX-512', 'AMX'] });
  const arm = readCpuinfo('processor\t: 0\nFeatures\t: fp asimd i8mm sve\nCPU part\t: 0xd4f\n');
  expect(arm).toEqual({ cores: undefined, instructions: ['NEON', 'I8MM', 'SVE'] });
  expect(readCpuinfo('something else')).toEqual({ cores: undefined, instructions: undefined });
});
