import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { hostTensor } from '../graph/host-tensor.ts';
import { openForDrawing } from '../pipelines/node/opened-model.ts';
import { formatLora } from '../weights/format-lora.ts';
import { writeSafetensors } from '../weights/node/safetensors-file.ts';
import { safetensorsOf } from '../weights/open-safetensors.ts';
import { replicasFor } from './replicas.ts';
import { Session } from './session.ts';

vi.mock(import('../weights/open-safetensors.ts'), async (original) => {
  const module = await original();
  return { ...module, safetensorsOf: vi.fn(module.safetensorsOf) };
});

const model = fileURLToPath(new URL('../../tests/fixtures/golden/pipelines/sd/model', import.meta.url));

it('reads the header of each file once, for all that a command does', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'opened-model-'));
  const path = join(folder, 'style.safetensors');
  const factors = new Map(
    ['A', 'B'].map((factor) => [`mid.fc.lora_${factor}.weight`, hostTensor(Float32Array.of(1), [1, 1])]),
  );
  const { tensors, metadata } = formatLora(factors, { rank: 1, alpha: 1 });
  await writeSafetensors(path, tensors, metadata);

  const opened = await openForDrawing(model, { vae: model }, [`${path}:2`]);
  expect(replicasFor({ batchSize: 1000 }, opened.components)).toBeGreaterThan(0);
  const session = await Session.start(opened, { batchSize: 1000 });
  const drawnWith = await opened.drawnWith();
  expect(drawnWith).toMatchObject({
    model,
    modelFingerprint: expect.stringMatching(/^\w{16}$/),
    vae: { path: model },
    loras: [{ path, strength: 2, sha256: expect.stringMatching(/^\w{64}$/) }],
  });
  expect(await session.changesSince(drawnWith)).toEqual([]);
  expect(await session.changesSince({ modelFingerprint: '0123456789abcdef' })).toEqual([
    expect.stringMatching(
      /^the model .* is not the one that the picture was drawn with \(checksum 0123456789ab then/,
    ),
  ]);
  await session.dispose();
  await rm(folder, { recursive: true });

  const read = vi.mocked(safetensorsOf).mock.calls.map(([{ name }]) => name);
  const weights = (network: string) => join(model, network, 'diffusion_pytorch_model.safetensors');
  expect(read.sort()).toEqual(
    [
      path,
      ...[weights('unet'), join(model, 'text_encoder/model.safetensors')],
      // The model's own, and the same as the one to put in its place.
      ...[weights('vae'), weights('vae')],
    ].sort(),
  );
});
