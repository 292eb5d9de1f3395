/**
 * A network of a model: what it is made of, and the function that writes it. It is called with values; their shapes
 * decide which program is compiled, and whoever only wants to know what a call would take gives the shapes alone.
 */
import type { Component } from '../components/components.ts';
import type { DType } from '../graph/dtype.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import { type Program, program } from '../graph/program.ts';
import { type Quantization, quantized } from '../graph/quantize.ts';
import type { Shape } from '../graph/shape.ts';
import { input, type Tensor } from '../graph/tensor.ts';
import type { Params } from '../layers/params.ts';
import { type AppliedLora, withLoras } from '../weights/lora.ts';
import type { LoraComponent } from '../weights/lora-file.ts';
import { paramsFromWeights } from '../weights/source.ts';
import type { Weights } from '../weights/weights.ts';

/** What a network does in a pipeline, by which others find it. */
export type NetworkRole =
  | 'text-encoder'
  | 'second-text-encoder'
  | 'denoiser'
  | 'encoder'
  | 'decoder'
  | 'decoder-statistics'
  | 'preview-decoder'
  | 'autoencoder'
  | 'judge'
  // Networks of somebody else's play roles of their own.
  | (string & {});

/** What is called with values: the function that writes it, and its weights. */
export interface Network {
  readonly role: NetworkRole;
  /** For messages and profiles: `UNet`. */
  readonly name: string;
  /** What LoRAs call it; undefined where there are none for it. */
  readonly adaptable?: LoraComponent;
  readonly component: Pick<Component<unknown>, 'location' | 'weights'>;
  /** What is written differently beside the shapes: networks of one name and one variation are the same. */
  readonly variation?: readonly unknown[];
  write(params: Params, inputs: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>>;
}

/** What a program depends on of a value. */
export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** The inputs of a call, by name, as far as a program depends on them. */
export type Specs = Readonly<Record<string, TensorSpec>>;

/** Values by name. */
export type Tensors = Readonly<Record<string, HostTensor>>;

/** float32 of a shape. */
export const float32 = (shape: Shape): TensorSpec => ({ shape, dtype: 'float32' });

export function specsOf(values: Readonly<Record<string, TensorSpec>>): Specs {
  return Object.fromEntries(
    Object.entries(values).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
  );
}

/** By what a compiled program is kept. */
export function keyOf({ name, variation = [] }: Network, specs: Specs): string {
  return `${name} ${JSON.stringify([variation, specs])}`;
}

/** What is made of a network's weights beside the model's own. */
export interface Adaptation {
  readonly loras?: readonly AppliedLora[];
  /** How large weights of `quantizable` networks are held; as float32 where it is undefined. */
  readonly quantize?: Quantization | undefined;
}

/** Networks with weights enough to be held in 8 bits: autoencoders have few, and their errors are seen at once. */
function quantizable({ role }: Network): boolean {
  return role === 'denoiser' || role === 'text-encoder' || role === 'second-text-encoder';
}

/** The network as a program, and the weights to bind. Throws InputError when some of them are missing. */
export function programOf(
  network: Network,
  specs: Specs,
  { loras = [], quantize }: Adaptation = {},
): { readonly program: Program; readonly weights: Weights } {
  const {
    adaptable,
    component: { location, weights },
    write,
  } = network;
  const stored = paramsFromWeights(weights);
  const adapted = adaptable && withLoras(stored.params, adaptable, loras);
  const inputs = Object.entries(specs).map(
    ([name, { shape, dtype }]) => [name, input(name, shape, dtype)] as const,
  );
  const outputs = write(adapted?.params ?? stored.params, Object.fromEntries(inputs));
  stored.requireAll(location);
  adapted?.requireUsed();
  const all = adapted && adapted.weights.size > 0 ? new Map([...weights, ...adapted.weights]) : weights;
  const whole = program(outputs);
  return { program: quantize && quantizable(network) ? quantized(whole, quantize) : whole, weights: all };
}
