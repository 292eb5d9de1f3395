/** The table's arithmetic, with pipelines and a judge whose answers are known. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadComponents } from '../components/components.ts';
import { diffusersFiles } from '../components/node/diffusers-files.ts';
import { createContext } from '../datasets/node/canvas.ts';
import { LABEL_HEAD_NAMES, labelsOf } from '../datasets/postcards/labels.ts';
import type { Engine } from '../engines/engine.ts';
import { hostTensor } from '../graph/host-tensor.ts';
import { createImage } from '../images/image.ts';
import { Drawing } from '../pipelines/drawing.ts';
import type { Generation } from '../pipelines/generation.ts';
import { createPipeline, type Pipeline } from '../pipelines/pipeline.ts';
import type { TextToImageRequest } from '../pipelines/settings.ts';
import { contactSheet, type EvaluationOptions, evaluate } from './evaluate.ts';
import { JUDGE_CONFIG } from './judge.ts';
import { protocolCards } from './protocol.ts';
import { markdownReport } from './report.ts';

const fixtures = fileURLToPath(new URL('../../tests/fixtures/golden/pipelines/', import.meta.url));
const idle: Engine = {
  name: 'idle',
  compile: () => Promise.reject(new Error('nothing is computed in these tests')),
  dispose: async () => {},
};

const COUNT = 6;
const latents = (side: number) => ({ height: side, width: side });
const cards = protocolCards(COUNT);

/** A pipeline that draws grey pictures, as bright as their seed says, and writes down what it was asked. */
async function greyPipeline(name: 'lcm' | 'sd', asked: TextToImageRequest[]): Promise<Pipeline> {
  const pipeline = await createPipeline(await diffusersFiles(`${fixtures}${name}/model`), idle);
  const { model } = pipeline;
  return {
    ...pipeline,
    model: {
      ...model,
      unet: {
        ...model.unet,
        config: { ...model.unet.config, sampleSize: latents(64 / model.vae.config.factor) },
      },
    },
    generate(request) {
      asked.push(request);
      const images = (request.seed as number[]).map((seed) => {
        const image = createImage(64, 64, 3);
        image.data.fill(100 + seed);
        return image;
      });
      return drawn({ images } as unknown as Generation);
    },
  };
}

function drawn(generation: Generation): Drawing {
  return new Drawing(
    (async function* () {
      yield* [];
      return generation;
    })(),
  );
}

/** Right about everything in the order of the cards, but wrong about the sky of the cards in `wrong`. */
function knowingJudge(wrong: readonly number[] = []): EvaluationOptions['judge'] {
  return {
    config: { ...JUDGE_CONFIG, feature_dim: 2 },
    async judge(pictures) {
      const count = pictures.length / (3 * 64 * 64);
      const answers = Array.from({ length: count }, (_, i) => {
        const labels = labelsOf(cards[i % COUNT]!.record);
        return wrong.includes(i) ? { ...labels, sky: (labels.sky + 1) % 4 } : labels;
      });
      return { answers, features: Float32Array.from({ length: 2 * count }, (_, i) => i % 7) };
    },
  };
}

async function options(
  asked: TextToImageRequest[],
  more: Partial<EvaluationOptions> = {},
): Promise<EvaluationOptions> {
  return {
    pipeline: await greyPipeline('lcm', asked),
    teacher: await greyPipeline('sd', asked),
    // Half the contrast.
    autoencoder: {
      reconstruct: async ({ data, shape }) =>
        hostTensor(
          Float32Array.from(data as Float32Array, (x) => 0.5 * x),
          shape,
        ),
    },
    judge: knowingJudge(),
    canvas: createContext(64, 64),
    count: COUNT,
    batch: 4,
    ...more,
  };
}

it('draws every row from the same captions and seeds', async () => {
  const asked: TextToImageRequest[] = [];
  const { rows } = await evaluate(await options(asked, { steps: [1, 4] }));
  expect(rows.map(({ name }) => name)).toEqual([
    'real',
    'reconstruction',
    'teacher, DDIM, 50 steps',
    'LCM, 1 step',
    'LCM, 4 steps',
  ]);
  expect(asked.map(({ seed }) => seed)).toEqual([
    [0, 1, 2, 3],
    [4, 5],
    [0, 1, 2, 3],
    [4, 5],
    [0, 1, 2, 3],
    [4, 5],
  ]);
  for (const request of asked) {
    expect(request.prompt).toEqual((request.seed as number[]).map((seed) => cards[seed]!.caption));
    expect(request.guidanceScale).toBe(3);
  }
  expect(asked.map(({ scheduler, steps }) => `${scheduler} ${steps}`)).toEqual([
    ...Array(2).fill('ddim 50'),
    ...Array(2).fill('lcm 1'),
    ...Array(2).fill('lcm 4'),
  ]);
  // Classifier-free guidance takes two passes a step, a guidance embedding one.
  expect(rows.map(({ sampling }) => sampling?.passes)).toEqual([undefined, undefined, 100, 1, 4]);
});

it('counts the passes that a sampler makes', async () => {
  const pipeline = await greyPipeline('sd', []);
  const scheduler = { ...pipeline.model.scheduler, name: 'heun' as const };
  const heun = { ...pipeline, model: { ...pipeline.model, scheduler } };
  const { rows } = await evaluate(await options([], { pipeline: heun, teacher: undefined, steps: [10] }));
  expect(rows.at(-1)!.sampling).toMatchObject({ scheduler: 'heun', steps: 10, passes: 38 });
});

it('scores seen and held-out captions apart', async () => {
  const { rows } = await evaluate(await options([], { judge: knowingJudge([0]), steps: [1] }));
  const [real] = rows;
  expect(real!.heldOut).toMatchObject({ attributes: 1, all: 1, pictures: 3 });
  expect(real!.seen.all).toBeCloseTo(2 / 3, 12);
  expect(real!.fidelity.all).toBeCloseTo(5 / 6, 12);
  expect(real!.fidelity.byHead.sky).toBeCloseTo(5 / 6, 12);
});

it('measures sharpness relative to the real pictures, and PSNR of reconstructions only', async () => {
  const { rows, references } = await evaluate(await options([], { steps: [1] }));
  const [real, reconstruction, teacher, model] = rows;
  expect(references).toBe(4 * COUNT);
  expect(real!.sharpness).toBe(1);
  // Half the contrast, but for the rounding to 8 bits.
  expect(reconstruction!.sharpness).toBeCloseTo(0.5, 1);
  expect(reconstruction!.psnr).toBeGreaterThan(5);
  expect(reconstruction!.psnr).toBeLessThan(20);
  for (const row of [real, teacher, model]) expect(row!.psnr).toBeUndefined();
  expect(teacher!.sharpness).toBe(0);
});

it('prefers the guidance scale of the request, then the model’s own', async () => {
  const asked: TextToImageRequest[] = [];
  const given = await options(asked, { steps: [1], teacher: undefined });
  const own = { ...given.pipeline, model: { ...given.pipeline.model, defaults: { guidanceScale: 2 } } };
  await evaluate({ ...given, pipeline: own });
  await evaluate({ ...given, pipeline: own, guidanceScale: 1.5 });
  expect(asked.map(({ guidanceScale }) => guidanceScale)).toEqual([2, 2, 1.5, 1.5]);
});

it('prints a row of the tables for each row, and a dash for what was not asked', async () => {
  const evaluation = await evaluate(await options([], { steps: [1] }));
  const report = markdownReport(evaluation);
  expect(report).toContain('6 captions, 3 seen and 3 held out');
  expect(report).toMatch(
    /^\| LCM, 1 step \| 100\.00 \| 100\.00 \| 100\.00 \| 100\.0 \(100\.0 \/ 100\.0\) \| 0\.0 \| .* \| 0\.000 \| – \|$/m,
  );
  const lines = report.split('\n').filter((line) => line.startsWith('| real'));
  expect(lines).toHaveLength(2);
  expect(lines[1]!.split('|')).toHaveLength(LABEL_HEAD_NAMES.length + 3);
});

it('refuses a model of other pictures', async () => {
  const given = await options([]);
  const model = await loadComponents(await diffusersFiles(`${fixtures}lcm/model`));
  const large = {
    ...model,
    unet: { ...model.unet, config: { ...model.unet.config, sampleSize: latents(64) } },
  };
  await expect(evaluate({ ...given, pipeline: { ...given.pipeline, model: large } })).rejects.toThrow(
    /this evaluation is for models of postcards, 64×64/,
  );
});

it('refuses steps that the model cannot take before it draws anything', async () => {
  const asked: TextToImageRequest[] = [];
  await expect(evaluate(await options(asked, { steps: [1, 60] }))).rejects.toThrow(
    /steps 60: .* use 1 to 50/,
  );
  expect(asked).toEqual([]);
});

it('stops when it is told to', async () => {
  const given = await options([], { signal: AbortSignal.abort(new Error('enough')) });
  await expect(evaluate(given)).rejects.toThrow('enough');
});

it('shows seen pictures first, then held-out ones, on a contact sheet', () => {
  const pictures = Array.from({ length: 64 }, (_, i) => {
    const image = createImage(2, 2, 3);
    image.data.fill(i);
    return image;
  });
  const sheet = contactSheet(pictures);
  expect([sheet.width, sheet.height]).toEqual([8 * 4, 5 * 4]);
  const at = (row: number, column: number) => sheet.data[3 * (row * 4 * sheet.width + column * 4)];
  expect([at(0, 0), at(2, 7), at(3, 0), at(4, 7)]).toEqual([0, 23, 32, 47]);
});
