/** Running a model with LoRAs on its weights. */
import type { Engine } from '../../src/engines/engine.ts';
import type { HostTensor } from '../../src/graph/host-tensor.ts';
import { cast } from '../../src/graph/operators/index.ts';
import { program } from '../../src/graph/program.ts';
import { input, type Tensor } from '../../src/graph/tensor.ts';
import type { Params } from '../../src/layers/params.ts';
import { unet2DCondition } from '../../src/models/unet-2d-condition.ts';
import type { UNet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import { type AppliedLora, withLoras } from '../../src/weights/lora.ts';
import type { LoraComponent } from '../../src/weights/lora-file.ts';
import { paramsFromWeights } from '../../src/weights/source.ts';
import { asWeights, type Tensors, tensorOf } from './model-cases.ts';

/** The outputs of a model function over the weights of `base` with what `loras` add to them. */
export async function adaptedOutputs(
  engine: Engine,
  base: Tensors,
  component: LoraComponent,
  loras: readonly AppliedLora[],
  values: Tensors,
  write: (params: Params, inputs: (name: string) => Tensor) => Record<string, Tensor>,
): Promise<Record<string, HostTensor>> {
  const weights = asWeights(base);
  const adapted = withLoras(paramsFromWeights(weights).params, component, loras);
  const inputs = (name: string) => input(name, tensorOf(values, name).shape, tensorOf(values, name).dtype);
  const graph = program(write(adapted.params, inputs));
  adapted.requireUsed();
  const own = asWeights(await loadTensors(adapted.weights));
  const executable = await engine.compile(graph, { weights: new Map([...weights, ...own]) });
  const given = [...graph.inputs.keys()].map((name) => [name, tensorOf(values, name)]);
  const outputs = await executable.run(Object.fromEntries(given));
  await executable.dispose();
  return outputs;
}

/** `write` for a UNet, with the inputs of the fixtures. */
export function unetOutput(config: UNet2DConditionConfig) {
  return (params: Params, inputs: (name: string) => Tensor) => ({
    output: unet2DCondition(config, params, {
      sample: inputs('sample'),
      timestep: cast(inputs('timesteps'), 'float32'),
      encoderHiddenStates: inputs('encoder_hidden_states'),
    }),
  });
}
