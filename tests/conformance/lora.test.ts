/** LoRA files on a UNet and a text encoder against diffusers and peft: outputs, and merged weights. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { cast } from '../../src/graph/operators/index.ts';
import { program } from '../../src/graph/program.ts';
import { input, type Tensor } from '../../src/graph/tensor.ts';
import { zerosInitializer } from '../../src/layers/initializers.ts';
import type { Params } from '../../src/layers/params.ts';
import { clipText, clipTextConfig } from '../../src/models/clip-text.ts';
import { unet2DCondition } from '../../src/models/unet-2d-condition.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { type AppliedLora, withLoras } from '../../src/weights/lora.ts';
import { type LoraComponent, readLora } from '../../src/weights/lora-file.ts';
import { parseSafetensors } from '../../src/weights/safetensors.ts';
import { paramsFromWeights } from '../../src/weights/source.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
import { asWeights, type Tensors, tensorOf } from './model-cases.ts';

const engine = createNodeEngine({ threads: 1 });
afterAll(() => engine.dispose());

const files = {
  lcm: ['lcm_kohya.safetensors', 'lcm_peft/pytorch_lora_weights.safetensors'],
  style: ['style_kohya.safetensors', 'style_peft/pytorch_lora_weights.safetensors'],
};

describeGolden('lora', (folder) => {
  const settings = readJson<{ combined_weights: [number, number]; text_rank_alpha: [number, number] }>(
    folder,
    'lora.json',
  );
  const load = (file: string, options?: { alpha?: number }) => {
    const { tensors, metadata } = parseSafetensors(readFileSync(join(folder, file)), file);
    return readLora(asWeights(tensors), metadata, file, options);
  };
  /** One folder may hold a LoRA in both layouts, another in one. */
  const available = (name: keyof typeof files) =>
    files[name].filter((file) => existsSync(join(folder, file)));
  it.each(['lcm', 'style'] as const)('holds the LoRA %s', (name) => expect(available(name)).not.toEqual([]));
  const apply = (file: string, strength: number): AppliedLora => ({ lora: load(file), strength });

  /** The outputs of a model function over the adapted weights of `base`. */
  async function evaluate(
    base: Tensors,
    component: LoraComponent,
    loras: AppliedLora[],
    values: Tensors,
    write: (params: Params, inputs: (name: string) => Tensor) => Record<string, Tensor>,
  ) {
    const weights = asWeights(base);
    const adapted = withLoras(paramsFromWeights(weights).params, component, loras);
    const inputs = (name: string) => input(name, tensorOf(values, name).shape, tensorOf(values, name).dtype);
    const graph = program(write(adapted.params, inputs));
    adapted.requireUsed();
    const executable = await engine.compile(graph, { weights: new Map([...weights, ...adapted.weights]) });
    const given = [...graph.inputs.keys()].map((name) => [name, tensorOf(values, name)]);
    const outputs = await executable.run(Object.fromEntries(given));
    await executable.dispose();
    return outputs;
  }

  describe('on a UNet', () => {
    const io = readTensors(folder, 'io.safetensors');
    const base = readTensors(folder, 'unet/diffusion_pytorch_model.safetensors');
    const config = unet2DConditionConfig(readJson(folder, 'unet', 'config.json'));

    const cases: [string, AppliedLora[]][] = [['base', []]];
    for (const key of io.keys()) {
      const match = /^output\/(lcm|style)@(.+)$/.exec(key);
      if (!match) continue;
      const name = match[1] as keyof typeof files;
      for (const file of available(name))
        cases.push([`${name}@${match[2]}`, [apply(file, Number(match[2]))]]);
    }
    const [lcm, style] = settings.combined_weights;
    const mixed = [apply(available('lcm')[0]!, lcm), apply(available('style').at(-1)!, style)];
    cases.push(['combined', mixed]);

    it.each(cases)('gives the output %s', async (name, loras) => {
      const { output } = await evaluate(base, 'unet', loras, io, (params, inputs) => ({
        output: unet2DCondition(config, params, {
          sample: inputs('sample'),
          timestep: cast(inputs('timesteps'), 'float32'),
          encoderHiddenStates: inputs('encoder_hidden_states'),
        }),
      }));
      expectClose(output!.data as Float32Array, floats(io, `output/${name}`), 2e-5, 'relative');
    });

    const fused = readTensors(folder, 'fused.safetensors');
    it.each(cases.filter(([name]) => /^(combined|.*@1\.0)$/.test(name)))(
      'merges the weights %s',
      async (name, loras) => {
        const prefix = `${name.replace('@1.0', '')}/`;
        const wanted = [...fused.keys()]
          .filter((key) => key.startsWith(prefix))
          .map((key) => key.slice(prefix.length));
        expect(wanted.length).toBeGreaterThan(0);
        const weights = asWeights(base);
        const adapted = withLoras(paramsFromWeights(weights).params, 'unet', loras);
        const graph = program(
          Object.fromEntries(
            wanted.map((key) => [key, adapted.params.weight(key, weights.get(key)!.shape, zerosInitializer)]),
          ),
        );
        const executable = await engine.compile(graph, {
          weights: new Map([...weights, ...adapted.weights]),
        });
        const merged = await executable.run({});
        await executable.dispose();
        for (const key of wanted)
          expectClose(merged[key]!.data as Float32Array, floats(fused, prefix + key), 1e-6);
      },
    );
  });

  describe('on a text encoder', () => {
    const io = readTensors(folder, 'text_io.safetensors');
    const base = readTensors(folder, 'text_encoder/model.safetensors');
    const config = clipTextConfig(readJson(folder, 'text_encoder', 'config.json'));
    const kohya = load('style_with_text_kohya.safetensors');
    const peft = load('text_peft_layout.safetensors', { alpha: settings.text_rank_alpha[1] });

    const cases: [string, string, AppliedLora[]][] = [['base', 'no', []]];
    for (const key of io.keys()) {
      const strength = Number(/^last_hidden_state\/lora@(.+)$/.exec(key)?.[1]);
      if (Number.isNaN(strength)) continue;
      const name = key.slice('last_hidden_state/'.length);
      cases.push([name, 'kohya', [{ lora: kohya, strength }]], [name, 'peft', [{ lora: peft, strength }]]);
    }

    it.each(cases)('gives the output %s with %s file', async (name, _, loras) => {
      const { states } = await evaluate(base, 'text_encoder', loras, io, (params, inputs) => ({
        states: clipText(config, params, inputs('input_ids')).lastHiddenState,
      }));
      expectClose(states!.data as Float32Array, floats(io, `last_hidden_state/${name}`), 1e-5);
    });
  });
});
