/** Training steps of AutoencoderKL against PyTorch's numbers. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { float32Data } from '../../src/graph/host-tensor.ts';
import { input } from '../../src/graph/tensor.ts';
import { DeclaredParams } from '../../src/layers/params.ts';
import { autoencoderKLConfig, decode, encode } from '../../src/models/autoencoder-kl.ts';
import { autoencoderLoss } from '../../src/training/objectives/autoencoder.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';
import {
  adamW,
  compileStep,
  createTestEngine,
  expectStep,
  expectWeights,
  hyperparameters,
  parametersFrom,
  type Steps,
} from './training-steps.ts';

describeGolden('training/autoencoder_kl', (folder) => {
  it('loss, gradients and weights of every step', async () => {
    const settings = hyperparameters(join(folder, '..'));
    const { steps, kl_weight } = readJson<Steps>(folder, 'steps.json');
    const config = autoencoderKLConfig(readJson(folder, 'initial/config.json'));
    const declared = new DeclaredParams();
    const first = readTensors(folder, 'step1.safetensors');
    const objective = autoencoderLoss(
      {
        encode: (pixels) => encode(config, declared.params, pixels),
        decode: (latents) => decode(config, declared.params, latents),
      },
      input('pixels', first.get('pixels')!.shape),
      input('noise', first.get('eps')!.shape),
      { l1: 1, mse: 0, gradient: 0, kl: kl_weight, klReduction: 'image' },
    );
    const parameters = parametersFrom(
      declared,
      readTensors(folder, 'initial/diffusion_pytorch_model.safetensors'),
    );
    const optimizer = adamW(parameters, settings);
    const engine = createTestEngine();
    const run = await compileStep(engine, objective, declared);

    for (const expected of steps) {
      const tensors = readTensors(folder, `step${expected.step}.safetensors`);
      const step = await run({
        ...parameters.tensors(),
        pixels: tensors.get('pixels')!,
        noise: tensors.get('eps')!,
      });
      const norm = await optimizer.gather([step.gradients]);
      expectStep({ ...step, norm }, expected);
      expectClose(float32Data(step.results.latents!), floats(tensors, 'z'), 1e-4, 'relative');
      expectClose(float32Data(step.results.reconstruction!), floats(tensors, 'recon'), 1e-4, 'relative');
      await optimizer.apply({
        learningRate: settings.lr,
        maxGradientNorm: settings.max_grad_norm,
      });
    }
    // A constant added to all keys of an attention changes nothing: the bias of to_k has no gradient but noise.
    const after = readTensors(folder, `weights_after_step${steps.length}.safetensors`);
    expectWeights(parameters, after, 'vae/', {
      lr: settings.lr,
      updates: steps.length,
      except: /to_k\.bias$/,
    });
    expect(steps.length).toBeGreaterThan(0);
    await engine.dispose();
  });
});
