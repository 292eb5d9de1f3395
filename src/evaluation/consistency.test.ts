/** Consistency of models whose f is known: networks that see through the noise to one picture. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadComponents } from '../components/components.ts';
import { diffusersFiles } from '../components/node/diffusers-files.ts';
import { noiseSchedule } from '../diffusion/noise-schedule.ts';
import type { Engine } from '../engines/engine.ts';
import { float32Data, type HostTensor, hostTensor, zeros } from '../graph/host-tensor.ts';
import { Networks } from '../networks/networks.ts';
import type { UNetInputs } from '../networks/values.ts';
import { consistencyErrors, describeErrors, explainConsistency, type LoadedModel } from './consistency.ts';
import { consistencyFigure } from './node/consistency-figure.ts';

const fixtures = fileURLToPath(new URL('../../tests/fixtures/golden/pipelines/', import.meta.url));
const idle: Engine = {
  name: 'idle',
  compile: () => Promise.reject(new Error('idle')),
  dispose: async () => {},
};
const SHAPE = [1, 4, 2, 2];
const z = Float32Array.from({ length: 16 }, (_, i) => Math.sin(i));

/** Predicts the noise as if all pictures were z, moved by `drift` for every training timestep. */
class PointNetworks extends Networks {
  drift = 0;

  override async encodeText(ids: HostTensor): Promise<HostTensor> {
    return zeros([...ids.shape, 8]);
  }

  override async predict({ sample, timestep }: UNetInputs): Promise<HostTensor> {
    const { alphas, sigmas } = noiseSchedule({});
    const epsilon = float32Data(sample).map(
      (x, i) => (x - alphas[timestep]! * (z[i % z.length]! + this.drift * timestep)) / sigmas[timestep]!,
    );
    return hostTensor(epsilon, sample.shape);
  }

  override async decode(latents: HostTensor): Promise<HostTensor> {
    return hostTensor(float32Data(latents).slice(0, 12), [1, 3, 2, 2]);
  }
}

async function pointModel(name: 'lcm' | 'sd', drift = 0): Promise<LoadedModel> {
  const model = await loadComponents(await diffusersFiles(`${fixtures}${name}/model`));
  const networks = new PointNetworks(model, idle);
  networks.drift = drift;
  return { model, networks };
}

const asked = {
  prompt: 'a tent',
  latents: hostTensor(z, SHAPE),
  seed: 3,
  guidanceScale: 3,
  columns: 4,
  view: 'trajectory' as const,
};

describe('consistency errors', () => {
  it('are 0 for a function that is the same everywhere', () => {
    expect(consistencyErrors([z, z.slice(), z.slice()])).toEqual({ adjacent: 0, drift: 0 });
  });

  it('are root mean squares, between neighbours and to the end', () => {
    const [a, b, c] = [0, 3, 4].map((value) => new Float32Array(5).fill(value));
    expect(consistencyErrors([a!, b!, c!])).toEqual({ adjacent: 2, drift: 2.5 });
  });

  it('need two levels', () => {
    expect(() => consistencyErrors([z])).toThrow(/at least 2/);
  });
});

describe('explaining consistency', () => {
  it.each(['trajectory', 'noised'] as const)(
    'finds no error in a self-consistent model (%s)',
    async (view) => {
      const [student, teacher] = [await pointModel('lcm'), await pointModel('sd')];
      const { errors, columns, levels } = await explainConsistency({ ...asked, student, teacher, view });
      expect(levels).toBe(50);
      expect(columns.map(({ timestep }) => timestep)).toEqual([999, 679, 339, 19]);
      // What is left are c_skip and float32 at t = 999, where the picture is a 15th of the sample.
      for (const error of [errors.before!, errors.after])
        expect(Math.max(error.adjacent, error.drift)).toBeLessThan(1e-4);
    },
  );

  it('measures how far f moves from level to level', async () => {
    const [student, teacher] = [await pointModel('lcm'), await pointModel('sd', 1e-3)];
    const { errors } = await explainConsistency({ ...asked, student, teacher });
    expect(errors.before!.adjacent).toBeCloseTo(20e-3, 4);
    expect(errors.after.adjacent).toBeLessThan(1e-4);
    expect(describeErrors({ errors })[0]).toMatch(
      /0\.0200 before, 0\.0000 after distillation, \d+\.\d times less/,
    );
  });

  it('shows x_t and f without a teacher', async () => {
    const student = await pointModel('lcm');
    const explanation = await explainConsistency({ ...asked, student, view: 'noised' });
    expect(explanation.errors.before).toBeUndefined();
    expect(explanation.columns.every(({ before }) => before === undefined)).toBe(true);
    const teacher = await pointModel('sd');
    const [alone, both] = [explanation, await explainConsistency({ ...asked, student, teacher })].map(
      (shown) => consistencyFigure(shown),
    );
    // One row of 2 × 3 pixels and a gap of 8 more.
    expect(both!.height - alone!.height).toBe(6 + 8);
  });

  it('draws labels where no font is installed', async () => {
    const explanation = await explainConsistency({
      ...asked,
      student: await pointModel('lcm'),
      view: 'noised',
    });
    const { data } = consistencyFigure(explanation, false);
    expect(data.filter((value) => value < 128).length).toBeGreaterThan(1000);
  });

  it('refuses a diffusion model as the student, and a trajectory without a teacher', async () => {
    const [lcm, sd] = [await pointModel('lcm'), await pointModel('sd')];
    await expect(explainConsistency({ ...asked, student: sd })).rejects.toThrow(/is no consistency model/);
    await expect(explainConsistency({ ...asked, student: lcm })).rejects.toThrow(/give the teacher/);
  });
});
