/** Inpainting models made of ordinary ones: the UNet gets inputs for the mask and the masked picture. */
import { float32Data, type HostTensor, hostTensor } from '../src/graph/host-tensor.ts';
import type { ModelFiles } from '../src/index.ts';
import { loadTensors } from '../src/weights/load-tensors.ts';
import { asWeights } from './conformance/model-cases.ts';

/** The weights of a first convolution [O, 4, …] with five more inputs: the mask, weighted with `mask`, and zeros. */
export function widened(convolution: HostTensor, mask: number): HostTensor {
  const [outputs, inputs, ...kernel] = convolution.shape as [number, number, number, number];
  const area = kernel[0]! * kernel[1]!;
  const data = new Float32Array(outputs * 9 * area);
  for (let o = 0; o < outputs; o++) {
    data.set(float32Data(convolution).subarray(o * inputs * area, (o + 1) * inputs * area), o * 9 * area);
    data.fill(mask, (o * 9 + 4) * area, (o * 9 + 5) * area);
  }
  return hostTensor(data, [outputs, 9, ...kernel]);
}

/** The model as an inpainting model of the same family. */
export async function asInpaintingModel(files: ModelFiles, mask: number): Promise<ModelFiles> {
  const { location, config, weights: stored } = await files.network('unet');
  const tensors = await loadTensors(stored);
  const weights = asWeights(
    new Map([...tensors, ['conv_in.weight', widened(tensors.get('conv_in.weight')!, mask)]]),
  );
  const unet = { location, config: { ...(config as object), in_channels: 9 }, weights };
  return {
    ...files,
    pipelineClass: files.pipelineClass.replace(/Pipeline$/, 'InpaintPipeline'),
    network: async (name) => (name === 'unet' ? unet : files.network(name)),
  };
}
