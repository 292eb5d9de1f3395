/** W + α/r·B·A, worked out by hand, for LoRAs of all kinds that people have: on every layer, of any shape and type. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { float32Data, type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import { program } from '../../src/graph/program.ts';
import { elementCount } from '../../src/graph/shape.ts';
import { zerosInitializer } from '../../src/layers/initializers.ts';
import { Generator } from '../../src/random/generator.ts';
import { convertTensor } from '../../src/weights/convert.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import { requireComponents, withLoras } from '../../src/weights/lora.ts';
import { type Lora, type LoraComponent, readLora } from '../../src/weights/lora-file.ts';
import { openModelFolder } from '../../src/weights/node/model-folder.ts';
import { paramsFromWeights } from '../../src/weights/source.ts';
import { expectClose } from '../conformance/golden.ts';
import { asWeights, type Tensors } from '../conformance/model-cases.ts';
import { kohyaLora } from '../kohya-lora.ts';

const sdxl = fileURLToPath(new URL('../fixtures/golden/pipelines/sdxl/model', import.meta.url));
const COMPONENTS = ['unet', 'text_encoder', 'text_encoder_2'] as const;
const engine = createNodeEngine({ threads: 1 });
afterAll(() => engine.dispose());

const weightsOf = async (component: LoraComponent) =>
  loadTensors((await openModelFolder(join(sdxl, component))).weights);
/** Names of all layers that have a matrix or a kernel. */
const layersOf = (base: Tensors) =>
  [...base].flatMap(([name, { shape }]) =>
    shape.length > 1 && name.endsWith('.weight') && !name.includes('embeddings.') ? [name.slice(0, -7)] : [],
  );

const random = new Generator(3);
const normal = (shape: readonly number[]) =>
  hostTensor(
    random.normal(elementCount(shape)).map((value) => 0.3 * value),
    shape,
  );

interface Factors {
  readonly down: HostTensor;
  readonly up: HostTensor;
  readonly scale: number;
}

/** Factors for a weight as peft shapes them. */
function factorsFor({ shape }: HostTensor, rank: number, scale: number): Factors {
  const [outputs, ...inputs] = shape as [number, ...number[]];
  const ones = inputs.slice(1).map(() => 1);
  return { down: normal([rank, ...inputs]), up: normal([outputs, rank, ...ones]), scale };
}

function sum(base: HostTensor, { down, up, scale }: Factors): Float64Array {
  const [w, a, b] = [base, down, up].map((tensor) => float32Data(convertTensor(tensor, 'float32')));
  const outputs = base.shape[0]!;
  const inputs = w!.length / outputs;
  const rank = a!.length / inputs;
  return Float64Array.from(w!, (value, i) => {
    const [row, column] = [Math.floor(i / inputs), i % inputs];
    let product = 0;
    for (let r = 0; r < rank; r++) product += b![row * rank + r]! * a![r * inputs + column]!;
    return value + scale * product;
  });
}

/** Expects every weight of the network to be what it is with the factors, and the others as they were. */
async function expectSums(
  base: Tensors,
  component: LoraComponent,
  lora: Lora,
  factors: ReadonlyMap<string, Factors>,
): Promise<void> {
  const weights = asWeights(base);
  const adapted = withLoras(paramsFromWeights(weights).params, component, [{ lora, strength: 1 }]);
  const wanted = [...base].filter(([, { dtype }]) => dtype === 'float32');
  const graph = program(
    Object.fromEntries(
      wanted.map(([name, { shape }]) => [name, adapted.params.weight(name, shape, zerosInitializer)]),
    ),
  );
  adapted.requireUsed();
  const executable = await engine.compile(graph, { weights: new Map([...weights, ...adapted.weights]) });
  const outputs = await executable.run({});
  await executable.dispose();
  for (const [name, tensor] of wanted) {
    const layer = factors.get(name.replace(/\.weight$/, ''));
    const expected = layer && name.endsWith('.weight') ? sum(tensor, layer) : float32Data(tensor);
    expectClose(float32Data(outputs[name]!), expected, 2e-5, 'relative');
  }
}

const inPeftLayout = (component: LoraComponent, factors: ReadonlyMap<string, Factors>): Tensors =>
  new Map(
    [...factors].flatMap(([layer, { down, up }]): [string, HostTensor][] => [
      [`${component}.${layer}.lora_A.weight`, down],
      [`${component}.${layer}.lora_B.weight`, up],
    ]),
  );
const readTensors = (tensors: Tensors) => readLora(asWeights(tensors), {}, 'a.safetensors');

describe('a LoRA on Stable Diffusion XL', () => {
  it("is added to every layer of all networks, in kohya's layout", async () => {
    const bases = await Promise.all(COMPONENTS.map(weightsOf));
    const all = bases.map(
      (base) =>
        new Map(layersOf(base).map((layer) => [layer, factorsFor(base.get(`${layer}.weight`)!, 2, 3 / 2)])),
    );
    expect(all[0]!.has('add_embedding.linear_1')).toBe(true);
    expect(all[2]!.has('text_projection')).toBe(true);
    const tensors = new Map(
      COMPONENTS.flatMap((component, i) => [
        ...kohyaLora(
          new Map(
            [...all[i]!].flatMap(([layer, { down, up }]): [string, HostTensor][] => [
              [`${layer}.lora_A.weight`, down],
              [`${layer}.lora_B.weight`, up],
            ]),
          ),
          { component, alpha: 3 },
        ),
      ]),
    );
    const named = new Map(
      [...tensors].map(([name, tensor]) => [name.replace(/^lora_te_/, 'lora_te1_'), tensor]),
    );
    const lora = readTensors(named);
    requireComponents([{ lora, strength: 1 }], COMPONENTS);
    for (const [i, component] of COMPONENTS.entries()) {
      expect(lora.layers[component].size).toBe(all[i]!.size);
      await expectSums(bases[i]!, component, lora, all[i]!);
    }
  });

  it('has, without alpha, the rank of each layer for it, in both layouts', async () => {
    const base = await weightsOf('unet');
    const layers = layersOf(base).slice(0, 6);
    const factors = new Map(
      layers.map((layer, i) => [layer, factorsFor(base.get(`${layer}.weight`)!, 1 + (i % 3), 1)]),
    );
    const peft = inPeftLayout('unet', factors);
    await expectSums(base, 'unet', readTensors(peft), factors);
    const kohya = [...peft].map(([name, tensor]): [string, HostTensor] => {
      const [layer, end] = name.slice('unet.'.length).split('.lora_') as [string, string];
      const part = end.startsWith('A') ? 'lora_down' : 'lora_up';
      return [`lora_unet_${layer.replaceAll('.', '_')}.${part}.weight`, tensor];
    });
    await expectSums(base, 'unet', readTensors(new Map(kohya)), factors);
  });

  it('may have alphas for some of its layers', async () => {
    const base = await weightsOf('unet');
    const [first, second] = layersOf(base).slice(4) as [string, string];
    const factors = new Map([
      [first, factorsFor(base.get(`${first}.weight`)!, 4, 1 / 4)],
      [second, factorsFor(base.get(`${second}.weight`)!, 4, 1)],
    ]);
    const tensors = inPeftLayout('unet', factors);
    tensors.set(`unet.${first}.alpha`, hostTensor(Float32Array.of(1), []));
    await expectSums(base, 'unet', readTensors(tensors), factors);
  });

  it('may have factors of convolutions for linear layers, and more rank than the layer', async () => {
    const base = await weightsOf('unet');
    const layer = layersOf(base).find((name) => name.endsWith('attn1.to_q'))!;
    const [outputs, inputs] = base.get(`${layer}.weight`)!.shape as [number, number];
    const rank = outputs + 3;
    const { down, up, scale } = factorsFor(base.get(`${layer}.weight`)!, rank, 1);
    const tensors = inPeftLayout(
      'unet',
      new Map([
        [
          layer,
          {
            down: hostTensor(down.data, [rank, inputs, 1, 1]),
            up: hostTensor(up.data, [outputs, rank, 1, 1]),
            scale,
          },
        ],
      ]),
    );
    await expectSums(base, 'unet', readTensors(tensors), new Map([[layer, { down, up, scale }]]));
  });

  it('may be for a text encoder alone', async () => {
    const base = await weightsOf('text_encoder_2');
    const layer = layersOf(base).find((name) => name.endsWith('q_proj'))!;
    const factors = new Map([[layer, factorsFor(base.get(`${layer}.weight`)!, 2, 1)]]);
    const lora = readTensors(inPeftLayout('text_encoder_2', factors));
    await expectSums(base, 'text_encoder_2', lora, factors);
    await expectSums(await weightsOf('unet'), 'unet', lora, new Map());
  });

  it.each(['float64', 'float16', 'bfloat16'] as const)('may be stored as %s', async (dtype) => {
    const base = await weightsOf('unet');
    const layer = layersOf(base)[5]!;
    const { down, up } = factorsFor(base.get(`${layer}.weight`)!, 2, 1);
    const stored = (tensor: HostTensor): HostTensor =>
      dtype === 'float64'
        ? hostTensor(Float64Array.from(float32Data(tensor)), tensor.shape)
        : convertTensor(tensor, dtype);
    const factors = new Map([[layer, { down: stored(down), up: stored(up), scale: 1 }]]);
    await expectSums(base, 'unet', readTensors(inPeftLayout('unet', factors)), factors);
  });
});
