/** `--engine openvino` and `--precision` from end to end, as far as the machine has OpenVINO. */
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { describeOpenVino } from '../../src/engines/openvino/engine.ts';
import { findOpenVino, notFound } from '../../src/engines/openvino/installation.ts';
import type { Precision } from '../../src/engines/precision.ts';
import { decodePng, readPictureSettings, readPngText } from '../../src/index.ts';
import { tinyModel, workspace } from './lcm.ts';
import { models } from './stand-ins.ts';

const { at, run } = workspace();

it('is an error where another precision is asked of ONNX Runtime, which has one', async () => {
  const { code, stderr } = await run('generate', 'a fox', '--precision', 'bfloat16', '--out', 'a.png');
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: 'lcm: the engine cpu computes in float32 alone; for bfloat16 take the engine openvino\n',
  });
  const wrong = await run('generate', 'a fox', '--engine', 'openvino:TPU', '--out', 'a.png');
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toMatch(/"openvino:TPU" is no device of OpenVINO; use openvino:CPU/);
});

const { path } = findOpenVino();
if (path === undefined) console.warn(`left out: lcm with OpenVINO: ${notFound}`);

describe.skipIf(path === undefined)('with OpenVINO', async () => {
  const { devices } = path === undefined ? { devices: [] } : await describeOpenVino(path);
  const known = devices.find(({ name }) => name === 'CPU')?.precisions ?? [];
  const drawn = new Map<string, Uint8Array>();
  afterAll(() => drawn.clear());

  const draw = async (name: string, ...options: string[]) => {
    const args = ['generate', 'a red-roofed cottage', '--seed', '3', '--out', `${name}.png`, ...options];
    const { code, stderr } = await run(...args);
    expect({ code, errors: /^lcm: .*/m.exec(stderr)?.[0] }).toEqual({ code: 0, errors: undefined });
    const file = readFileSync(at(`${name}.png`));
    drawn.set(name, (await decodePng(file)).data);
    return readPictureSettings(await readPngText(file))!;
  };

  /** In dB. Guidance multiplies the errors of half precision, most with random weights. */
  const least: Readonly<Record<Precision, number>> = { float32: 60, bfloat16: 40, float16: 45 };
  const withGuidance: Readonly<Record<Precision, number>> = { float32: 55, bfloat16: 35, float16: 45 };

  it.each([
    ['the embedded model', [], least],
    ['a latent consistency model', ['--model', tinyModel], least],
    ['Stable Diffusion', ['--model', models.sd, '--steps', '4'], least],
    ['Stable Diffusion XL', ['--model', models.sdxl, '--steps', '4'], withGuidance],
  ])('draws the picture of the cpu engine: %s', async (_, model, least) => {
    await draw('cpu', ...model);
    for (const precision of known) {
      const name = `openvino-${precision}`;
      const settings = await draw(name, ...model, '--engine', 'openvino', '--precision', precision);
      expect(settings).toMatchObject({ engine: 'openvino/CPU' });
      expect(settings.precision).toBe(precision === 'float32' ? undefined : precision);
      expect(psnr(drawn.get(name)!, drawn.get('cpu')!), precision).toBeGreaterThan(least[precision]);
      expect(await run('generate', '--from', `${name}.png`, '--out', 'again.png')).toMatchObject({ code: 0 });
      expect(readFileSync(at('again.png'))).toEqual(readFileSync(at(`${name}.png`)));
    }
  });
});

/** In dB, of values up to 255. */
function psnr(a: Uint8Array, b: Uint8Array): number {
  const squares = a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
  return 10 * Math.log10((255 ** 2 * a.length) / squares);
}
