/** LoRAs that were trained here, on a model of the fixtures, as diffusers and peft load them: what its UNet predicts there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { float32Data } from '../../src/graph/host-tensor.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { readLora } from '../../src/weights/lora-file.ts';
import { parseSafetensors } from '../../src/weights/safetensors.ts';
import { adaptedOutputs, unetOutput } from './adapted.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
import { asWeights } from './model-cases.ts';

const engine = createNodeEngine({ threads: 1 });
afterAll(() => engine.dispose());

describeGolden('trained', (folder) => {
  const unet = join(folder, '../pipelines/sd/model/unet');
  const io = readTensors(folder, 'io.safetensors');

  it.each(['peft', 'kohya'])("%s' layout", async (layout) => {
    const file = `${layout}.safetensors`;
    const { tensors, metadata } = parseSafetensors(readFileSync(join(folder, file)), file);
    const lora = readLora(asWeights(tensors), metadata, file);
    expect(lora.isConsistency).toBe(true);
    const base = readTensors(unet, 'diffusion_pytorch_model.safetensors');
    const write = unetOutput(unet2DConditionConfig(readJson(unet, 'config.json')));
    const { output } = await adaptedOutputs(engine, base, 'unet', [{ lora, strength: 1 }], io, write);
    const expected = floats(io, `output/${layout}`);
    expectClose(float32Data(output!), expected, 2e-5, 'relative');
    // The LoRA has an effect there that is far larger than the tolerance.
    const change = floats(io, 'output/base').map((value, i) => Math.abs(value - expected[i]!));
    expect(Math.max(...change)).toBeGreaterThan(0.01);
  });
});
