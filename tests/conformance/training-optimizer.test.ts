/** AdamW, gradient clipping and averaging against PyTorch's numbers. */
import { expect, it } from 'vitest';
import { float32Data, hostTensor } from '../../src/graph/host-tensor.ts';
import { Ema } from '../../src/training/update/ema.ts';
import { FlatParameters } from '../../src/training/update/flat-parameters.ts';
import { AdamW } from '../../src/training/update/optimizer.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';

interface Settings {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  readonly max_grad_norm: number;
  readonly ema_decay: number;
  readonly grad_norms: readonly number[];
}

describeGolden('training/adamw', (folder) => {
  it('AdamW, clipping and EMA over several updates', async () => {
    const settings = readJson<Settings>(folder, 'adamw.json');
    const tensors = readTensors(folder, 'adamw.safetensors');
    const names = [...tensors.keys()].filter((key) => /^[a-z]1$/.test(key)).map((key) => key.slice(0, -1));
    expect(names.length).toBeGreaterThan(0);

    // `<name>0` was stored after the last update. The average started as a copy of the parameters, so its first
    // value, average₁ = d · start + (1 − d) · value₁, gives the start away.
    const start = new FlatParameters(new Map(names.map((name) => [name, tensors.get(`${name}1`)!.shape])));
    for (const { name, shape } of start.slots) {
      const value = floats(tensors, `${name}1`);
      const average = floats(tensors, `ema_${name}1`);
      const d = settings.ema_decay;
      start.set(
        name,
        hostTensor(
          Float32Array.from(value, (x, i) => (average[i]! - (1 - d) * x) / d),
          shape,
        ),
      );
    }

    const average = new Ema(start, settings.ema_decay);
    const optimizer = new AdamW(start, {
      betas: settings.betas,
      epsilon: settings.eps,
      weightDecay: settings.weight_decay,
      decays: () => true,
      averages: [average],
    });
    for (const [i, expectedNorm] of settings.grad_norms.entries()) {
      const gradients = new Map(names.map((name) => [name, tensors.get(`grad_${name}${i + 1}`)!]));
      const norm = await optimizer.gather([gradients]);
      expect(Math.abs(norm / expectedNorm - 1)).toBeLessThan(1e-6);
      await optimizer.apply({ learningRate: settings.lr, maxGradientNorm: settings.max_grad_norm });
      for (const name of names) {
        expectClose(float32Data(start.tensor(name)), floats(tensors, `${name}${i + 1}`), 1e-6);
        expectClose(
          float32Data(average.parameters.tensor(name)),
          floats(tensors, `ema_${name}${i + 1}`),
          1e-6,
        );
      }
    }
  });
});
