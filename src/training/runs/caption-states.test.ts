import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { loadComponents } from '../../components/components.ts';
import { openModel } from '../../components/node/open-model.ts';
import type { Engine } from '../../engines/engine.ts';
import { createNodeEngine } from '../../engines/onnxruntime-node/engine.ts';
import { float32Data } from '../../graph/host-tensor.ts';
import { program } from '../../graph/program.ts';
import { input } from '../../graph/tensor.ts';
import { clipText, clipTextConfig } from '../../models/clip-text.ts';
import { paramsFromWeights } from '../../weights/source.ts';
import { CaptionStates, captionEncoder } from './caption-states.ts';
import { networkOf } from './model-files.ts';

const model = fileURLToPath(new URL('../../../models/postcards', import.meta.url));
const engine = createNodeEngine({ threads: 2 });
afterAll(() => engine.dispose());

/** Counts what the engine is asked to do. */
function counted(): { readonly engine: Engine; readonly runs: () => number } {
  let runs = 0;
  return {
    runs: () => runs,
    engine: {
      ...engine,
      async compile(program, options) {
        const executable = await engine.compile(program, options);
        return {
          dispose: () => executable.dispose(),
          run(inputs, options) {
            runs += 1;
            return executable.run(inputs, options);
          },
        };
      },
    },
  };
}

async function opened() {
  const stored = await openModel(model);
  const { tokenizer } = await loadComponents(stored);
  return { tokenizer, text: await networkOf(stored, 'text_encoder') };
}

it('encodes each caption once, to the bit as in a batch with others', async () => {
  const { tokenizer, text } = await opened();
  const { engine: counting, runs } = counted();
  const states = new CaptionStates({
    engine: counting,
    encoder: captionEncoder([{ network: text, tokenizer }]),
  });
  const captions = ['a red house', '', 'a lighthouse at night', 'a red house'];
  const found = await states.of(captions);
  expect(await states.of(captions)).toEqual(found);
  expect(runs()).toBe(3);

  const config = clipTextConfig(text.config);
  const ids = tokenizer.tokenizeBatch(captions);
  const params = paramsFromWeights(text.weights);
  const { lastHiddenState } = clipText(config, params.params, input('ids', ids.shape, 'int64'));
  const together = await engine.compile(program({ states: lastHiddenState }), { weights: text.weights });
  const { states: expected } = await together.run({ ids });
  expect(found.states.shape).toEqual(expected!.shape);
  expect(float32Data(found.states)).toEqual(float32Data(expected!));
  await together.dispose();
  await states.close();
});

it('keeps no more than it may, and gives the same for the rest', async () => {
  const { tokenizer, text } = await opened();
  const encoder = captionEncoder([{ network: text, tokenizer }]);
  const { engine: counting, runs } = counted();
  const states = new CaptionStates({
    engine: counting,
    encoder,
    limit: 4 * encoder.shape[0] * encoder.shape[1],
  });
  const both = await states.of(['a house', 'a tree']);
  expect(await states.of(['a house', 'a tree'])).toEqual(both);
  expect(runs()).toBe(3);
  await states.close();
});
