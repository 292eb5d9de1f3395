/** LoRA files on a UNet and a text encoder against diffusers and peft: outputs, and merged weights. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { float32Data } from '../../src/graph/host-tensor.ts';
import { program } from '../../src/graph/program.ts';
import { zerosInitializer } from '../../src/layers/initializers.ts';
import { clipText, clipTextConfig } from '../../src/models/clip-text.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import { type AppliedLora, withLoras } from '../../src/weights/lora.ts';
import { readLora } from '../../src/weights/lora-file.ts';
import { mergeLoras } from '../../src/weights/merge-loras.ts';
import { parseSafetensors } from '../../src/weights/safetensors.ts';
import { paramsFromWeights } from '../../src/weights/source.ts';
import { adaptedOutputs, unetOutput } from './adapted.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
import { asWeights } from './model-cases.ts';

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
      const { output } = await adaptedOutputs(engine, base, 'unet', loras, io, unetOutput(config));
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

        const summed = await mergeLoras(weights, 'unet', loras);
        for (const [key, tensor] of await loadTensors(summed, wanted)) {
          expectClose(float32Data(tensor), floats(fused, `${prefix}${key}`), 1e-5, 'relative');
        }
        // What no LoRA adapts stays where it is.
        expect(summed.get('conv_in.bias')).toBe(weights.get('conv_in.bias'));
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
      const { states } = await adaptedOutputs(engine, base, 'text_encoder', loras, io, (params, inputs) => ({
        states: clipText(config, params, inputs('input_ids')).lastHiddenState,
      }));
      expectClose(states!.data as Float32Array, floats(io, `last_hidden_state/${name}`), 1e-5);
    });
  });
});
