/** LoRAs merged into stored weights, for whoever trains on from the sum: W + Σ strength · α/r · B·A. */
import { InputError } from '../errors.ts';
import { elementCount, formatShape, type Shape } from '../graph/shape.ts';
import { convertTensor } from './convert.ts';
import { loadTensors } from './load-tensors.ts';
import { type AppliedLora, requireFactors, requireLayers } from './lora.ts';
import type { LoraLayer } from './lora-file.ts';
import { type LoraComponent, layerKey } from './lora-names.ts';
import { bytesOf } from './safetensors.ts';
import { parameterShape, type Weight, type Weights } from './weights.ts';

/**
 * The weights with what `loras` add to this network: adapted ones as float32 in memory, all others as they are. Throws
 * InputError for a LoRA that was made for another model.
 */
export async function mergeLoras(
  weights: Weights,
  component: LoraComponent,
  loras: readonly AppliedLora[],
): Promise<Weights> {
  const merged = new Map(weights);
  const used = loras.map(() => new Set<string>());
  for (const name of weights.keys()) {
    if (!name.endsWith('.weight')) continue;
    const key = layerKey(component, name.slice(0, -'.weight'.length));
    const adapting = loras.filter(({ lora }, i) => lora.layers[component].has(key) && used[i]!.add(key));
    if (adapting.length === 0) continue;
    const shape = parameterShape(weights.get(name)!);
    const values = Float32Array.from(await floatsOf(weights, name));
    for (const applied of adapting) {
      await addLayer(values, shape, applied, applied.lora.layers[component].get(key)!);
    }
    const tensor = { dtype: 'float32', shape, data: values } as const;
    const sum: Weight = { dtype: 'float32', shape, storage: { kind: 'bytes', bytes: bytesOf(tensor) } };
    merged.set(name, sum);
  }
  for (const [i, { lora }] of loras.entries()) requireLayers(lora, component, used[i]!);
  return merged;
}

async function addLayer(
  values: Float32Array,
  shape: Shape,
  { lora, strength }: AppliedLora,
  { down, up, alpha, rankStabilized }: LoraLayer,
): Promise<void> {
  const shapeOf = (name: string) => lora.weights.get(name)!.shape;
  const rank = requireFactors(lora, { down, up }, { shapeA: shapeOf(down), shapeB: shapeOf(up), shape });
  const [a, b] = [await floatsOf(lora.weights, down), await floatsOf(lora.weights, up)];
  const stated = typeof alpha === 'string' ? (await floatsOf(lora.weights, alpha))[0]! : (alpha ?? rank);
  const scale = (strength * stated) / (rankStabilized ? Math.sqrt(rank) : rank);
  const inputs = elementCount(shape) / shape[0]!;
  for (let row = 0; row < shape[0]!; row++) {
    const start = row * inputs;
    for (let k = 0; k < rank; k++) {
      const factor = scale * b[row * rank + k]!;
      const from = k * inputs;
      for (let i = 0; i < inputs; i++) values[start + i]! += factor * a[from + i]!;
    }
  }
}

async function floatsOf(weights: Weights, name: string): Promise<Float32Array> {
  const tensor = convertTensor((await loadTensors(weights, [name])).get(name)!, 'float32');
  if (tensor.data instanceof Float32Array) return tensor.data;
  throw new InputError(`${name} is stored as ${tensor.dtype} ${formatShape(tensor.shape)}; expected floats`);
}
