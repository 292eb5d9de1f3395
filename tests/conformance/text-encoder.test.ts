/** CLIP text encoders against transformers: every hidden state, the pooled state, the projection. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { clipText, clipTextConfig, clipTextProjection } from '../../src/models/clip-text.ts';
import { withCurrentNames } from '../../src/weights/key-layouts.ts';
import { describeGolden, readJson, readTensors } from './golden.ts';
import { asWeights, expectCloseTo, expectSameWeights, run, tensorOf } from './model-cases.ts';

const engine = createNodeEngine({ threads: 1 });
afterAll(() => engine.dispose());

const TOLERANCE = 1e-4;

describeGolden('text', (folder) => {
  const names = readdirSync(folder).filter((name) => name.startsWith('encoder_'));
  it('has cases', () => expect(names.length).toBeGreaterThan(0));

  for (const name of names) {
    const json = readJson<{ readonly architectures: readonly string[] }>(folder, name, 'config.json');
    const config = clipTextConfig(json);
    const className = json.architectures[0]!;
    const projects = className === 'CLIPTextModelWithProjection';
    const weights = withCurrentNames(className, asWeights(readTensors(folder, name, 'model.safetensors')));
    const io = readTensors(join(folder, name, 'io.safetensors'));

    const encode = (prefix: string) =>
      run(engine, weights, { inputIds: tensorOf(io, `${prefix}input_ids`) }, ({ inputIds }, { params }) => {
        const { hiddenStates, lastHiddenState, pooled } = clipText(config, params, inputIds);
        const states = hiddenStates.map((state, i) => [`hidden_states/${i}`, state]);
        return {
          ...Object.fromEntries(states),
          last_hidden_state: lastHiddenState,
          ...(projects
            ? { text_embeds: clipTextProjection(config, params, pooled) }
            : { pooler_output: pooled }),
        };
      });

    for (const prefix of ['', 'short_']) {
      it(`${name}: ${prefix}prompts`, async () => {
        const { outputs, declared } = await encode(prefix);
        expectSameWeights(declared, weights);
        expect(Object.keys(outputs)).toHaveLength(config.num_hidden_layers + 3);
        for (const [key, value] of Object.entries(outputs)) {
          expectCloseTo(value, tensorOf(io, `${prefix}${key}`), TOLERANCE);
        }
      });
    }

    it(`${name}: pools prompts with several ends, or none`, async () => {
      const { outputs } = await encode('odd_');
      expectCloseTo(
        projects ? outputs.text_embeds : outputs.pooler_output,
        tensorOf(io, 'odd_pooled'),
        TOLERANCE,
      );
    });
  }
});
