/**
 * Stored LoRAs (Hu et al. 2021) on stored weights: W + Σ strength · α/r · B·A. The sum is part of the graph and made
 * of weights alone, so an engine works it out once, when it loads the model.
 */
import { InputError } from '../errors.ts';
import { add, matmul, multiply, reshape } from '../graph/operators/index.ts';
import { elementCount, formatShape, type Shape } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { zerosInitializer } from '../layers/initializers.ts';
import { Params } from '../layers/params.ts';
import { listed } from '../messages.ts';
import type { Lora, LoraLayer } from './lora-file.ts';
import { type LoraComponent, layerKey } from './lora-names.ts';
import { paramsFromWeights, withPrefix } from './source.ts';
import type { Weight, Weights } from './weights.ts';

/** How many layers an error names. */
const LISTED = 3;

/** A LoRA, and how much of it is added to the model. */
export interface AppliedLora {
  readonly lora: Lora;
  /** As it was asked for, which pictures name; default: the path of its file. */
  readonly name?: string | undefined;
  /** How much of it: 1 as trained, 0 nothing. diffusers' `adapter_weights`, or `cross_attention_kwargs.scale`. */
  readonly strength: number;
}

export interface AdaptedParams {
  readonly params: Params;
  /** The LoRAs' own weights under the names that they have in the program; bind them with those of the model. */
  readonly weights: Weights;
  /** To be called after the model function. Throws InputError when a LoRA has layers that the model does not. */
  requireUsed(): void;
}

/** The weights that `base` gives, with the additions that `loras` make to this component. */
export function withLoras(
  base: Params,
  component: LoraComponent,
  loras: readonly AppliedLora[],
): AdaptedParams {
  const weights = new Map<string, Weight>();
  const adapters = loras.map(({ lora, strength }, i): Adapter => {
    const prefix = `lora.${i}.${component}.`;
    const named = withPrefix(lora.weights, prefix);
    const stored = paramsFromWeights(named, prefix);
    const factor = (name: string): Tensor => {
      const weight = named.get(prefix + name)!;
      weights.set(prefix + name, weight);
      return stored.params.weight(name, weight.shape, zerosInitializer);
    };
    return { lora, strength, factor, layers: lora.layers[component], used: new Set() };
  });

  const params = new Params((name, shape, initializer) => {
    let weight = base.weight(name, shape, initializer);
    if (!name.endsWith('.weight')) return weight;
    const key = layerKey(component, name.slice(0, -'.weight'.length));
    for (const adapter of adapters) {
      const layer = adapter.layers.get(key);
      if (!layer) continue;
      adapter.used.add(key);
      if (adapter.strength !== 0) weight = add(weight, addition(adapter, layer, shape));
    }
    return weight;
  });

  return {
    params,
    weights,
    requireUsed() {
      for (const { lora, used } of adapters) requireLayers(lora, component, used);
    },
  };
}

interface Adapter extends AppliedLora {
  readonly layers: ReadonlyMap<string, LoraLayer>;
  /** Keys of the layers that the model has asked for. */
  readonly used: Set<string>;
  /** A stored tensor as float32. */
  readonly factor: (name: string) => Tensor;
}

/** strength · α/r · B·A in the shape of the weight. Convolutions: A has the kernel, B is 1×1. */
function addition({ lora, strength, factor }: Adapter, layer: LoraLayer, shape: Shape): Tensor {
  const { down, up, alpha, rankStabilized } = layer;
  const a = factor(down);
  const b = factor(up);
  const rank = requireFactors(lora, layer, { shapeA: a.shape, shapeB: b.shape, shape });
  const outputs = shape[0]!;
  const inputs = elementCount(shape) / outputs;
  const perAlpha = strength / (rankStabilized ? Math.sqrt(rank) : rank);
  const scale =
    typeof alpha === 'string' ? multiply(reshape(factor(alpha), []), perAlpha) : (alpha ?? rank) * perAlpha;
  const product = matmul(multiply(reshape(b, [outputs, rank]), scale), reshape(a, [rank, inputs]));
  return reshape(product, shape);
}

/**
 * The rank of a layer's two factors. Throws InputError when they do not make up a weight of `shape`. shapeA: of `down`,
 * [r, …]; shapeB: of `up`, [O, r, …].
 */
export function requireFactors(
  { from }: Pick<Lora, 'from'>,
  { down, up }: Pick<LoraLayer, 'down' | 'up'>,
  { shapeA, shapeB, shape }: { shapeA: Shape; shapeB: Shape; shape: Shape },
): number {
  const rank = shapeA[0] ?? 0;
  const outputs = shape[0]!;
  const inputs = elementCount(shape) / outputs;
  if (rank === 0 || elementCount(shapeA) !== rank * inputs || elementCount(shapeB) !== outputs * rank) {
    throw new InputError(
      `${from}: ${down} ${formatShape(shapeA)} and ${up} ${formatShape(shapeB)} do not make up a weight of the shape ${formatShape(shape)}; the LoRA was made for another model`,
      { path: from, code: 'mismatch' },
    );
  }
  return rank;
}

/** Throws InputError when a LoRA has layers for the network beside those that were `used`. */
export function requireLayers(lora: Lora, component: LoraComponent, used: ReadonlySet<string>): void {
  const layers = lora.layers[component];
  const unused = [...layers.keys()].filter((key) => !used.has(key));
  if (unused.length === 0) return;
  throw new InputError(
    `${lora.from} does not fit this model: ${unused.length} of its ${layers.size} layers for the ${component} are not there, such as ${listed(unused, LISTED)}. Was it made for another kind of model?`,
    { path: lora.from, code: 'mismatch' },
  );
}

/**
 * To be called before anything is loaded. Throws InputError when a LoRA adapts a network that the model does not
 * have, or none at all. components: those of the model.
 */
export function requireComponents(loras: readonly AppliedLora[], components: readonly LoraComponent[]): void {
  for (const { lora } of loras) {
    const adapted = Object.entries(lora.layers).filter(([, layers]) => layers.size > 0);
    const surplus = adapted.find(([component]) => !components.includes(component as LoraComponent));
    if (!surplus) continue;
    const [component, layers] = surplus;
    throw new InputError(
      `${lora.from} adapts the ${component}, which this model does not have (${listed([...layers.keys()], LISTED)}). Was it made for Stable Diffusion XL?`,
      { path: lora.from },
    );
  }
}
