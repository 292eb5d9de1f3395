import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Components, loadComponents } from '../components/components.ts';
import { diffusersFiles } from '../components/node/diffusers-files.ts';
import type { Engine } from '../engines/engine.ts';
import { UsageError } from '../errors.ts';
import { type MemoryPlan, planMemory } from './memory-plan.ts';
import { Networks } from './networks.ts';

const folder = fileURLToPath(new URL('../../tests/fixtures/golden/pipelines/lcm/model', import.meta.url));
let model: Components;
beforeAll(async () => {
  model = await loadComponents(await diffusersFiles(folder));
});

/** Nothing may be loaded. */
const engine: Engine = {
  name: 'none',
  compile: () => Promise.reject(new Error('compiled')),
  dispose: () => Promise.resolve(),
};

interface Wanted {
  readonly side: number;
  readonly limit?: number;
  readonly batch?: number;
  readonly tileSize?: number;
  readonly lowMemory?: boolean;
  readonly streamedBytes?: number;
}

function plan(wanted: Wanted): MemoryPlan & { warnings: string[] } {
  const { side, limit, batch = 1, tileSize, lowMemory, streamedBytes } = wanted;
  const warnings: string[] = [];
  const networks = new Networks(model, { ...engine, streamedBytes }, { memoryLimit: limit, lowMemory });
  const planned = planMemory(networks, {
    shapes: {
      ids: [[1, 77]],
      latents: [batch, 4, side / 8, side / 8],
      pixels: undefined,
      unetBatch: batch,
      clipSkip: 0,
    },
    tileSize,
    factor: 8,
    onWarning: (message: string) => warnings.push(message),
  });
  return { ...planned, warnings };
}

describe('planMemory', () => {
  it('decodes in one piece where that fits', () => {
    expect(plan({ side: 1024, limit: 2 ** 40 })).toMatchObject({ tileSize: undefined, warnings: [] });
    expect(plan({ side: 1024, limit: 2 ** 40 }).shapes.decoded).toEqual([1, 4, 128, 128]);
  });

  it('takes tiles where one piece would not fit, and says so', () => {
    const { tileSize, shapes, warnings } = plan({ side: 2048, limit: 1e9 });
    expect({ tileSize, decoded: shapes.decoded }).toEqual({ tileSize: 512, decoded: [1, 4, 64, 64] });
    expect(warnings).toEqual([
      expect.stringMatching(
        /^decoding in one piece would take about .* of the 1\.00 GB .* tiles of 512 pixels/,
      ),
    ]);
  });

  it('takes the tiles that were asked for, where the picture is larger than one', () => {
    expect(plan({ side: 256, tileSize: 128 })).toMatchObject({ tileSize: 128, warnings: [] });
    expect(plan({ side: 256, tileSize: 256 })).toMatchObject({ tileSize: undefined });
  });

  it('refuses what cannot fit, names what would help, and has loaded nothing', () => {
    const refused = (wanted: Wanted) => {
      try {
        plan(wanted);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        return (error as Error).message;
      }
      return 'not refused';
    };
    // As far as a picture may go: 32 GB for one map of 32 channels at that size, were it in one piece.
    expect(refused({ side: 16384, limit: 1e9 })).toMatch(
      /^16384×16384 pixels, 1 at a time: the UNet needs at least .* GB of memory, there are 1\.00 GB; use a smaller width and height$/,
    );
    expect(refused({ side: 512, batch: 64, limit: 1e8 })).toMatch(/or a smaller batch size \(now 64\)/);
    // The weights alone: with one network at a time there is room.
    expect(refused({ side: 64, limit: 900_000 })).toMatch(/or low memory, which keeps one network at a time/);
    expect(plan({ side: 64, limit: 900_000, lowMemory: true }).tileSize).toBeUndefined();
    // Less than the weights of one: with a part of them at a time there is room.
    const small = { side: 32, limit: 250_000, lowMemory: true };
    expect(refused(small)).toMatch(/^32×32 pixels, 1 at a time: the .* needs at least/);
    expect(plan({ ...small, streamedBytes: 50_000 }).tileSize).toBeUndefined();
    expect(refused({ ...small, lowMemory: false, streamedBytes: 50_000 })).toMatch(/or low memory/);
  });

  it('counts nothing without a limit', () => {
    expect(plan({ side: 16384 }).tileSize).toBeUndefined();
  });
});
