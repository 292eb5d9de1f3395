/**
 * Damaged single-file checkpoints and LoRAs: whatever their tensors are called and however they are shaped, the
 * readers make sense of them or throw InputError. FUZZ_RUNS sets the number of inputs.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { DType } from '../../src/graph/dtype.ts';
import { elementCount } from '../../src/graph/shape.ts';
import { zerosInitializer } from '../../src/layers/initializers.ts';
import { autoencoderKLConfig } from '../../src/models/autoencoder-kl.ts';
import { clipTextConfig } from '../../src/models/clip-text.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { withLoras } from '../../src/weights/lora.ts';
import { readLora } from '../../src/weights/lora-file.ts';
import { autoencoderAlone } from '../../src/weights/single-file/autoencoder.ts';
import { readCheckpoint } from '../../src/weights/single-file/checkpoint.ts';
import { paramsFromWeights } from '../../src/weights/source.ts';
import type { Weight, Weights } from '../../src/weights/weights.ts';
import {
  originalAutoencoder,
  originalClip,
  originalOpenClip,
  originalUNet,
  type Shapes,
} from '../weights/original-layout.ts';
import { readsOrRefuses } from './reads-or-refuses.ts';

const numRuns = Number(process.env.FUZZ_RUNS ?? 400);

const tiny = { inChannels: 4, modelChannels: 64, channelMult: [1, 1], contextDim: 64, midDepth: 1 } as const;
const autoencoder = originalAutoencoder(32, [1, 1]);
const checkpoints: Shapes[] = [
  new Map([
    ...originalUNet({ ...tiny, depths: [1, 0], linear: false, condProj: 16 }),
    ...autoencoder,
    ...originalClip('cond_stage_model.transformer.', 64, 2),
  ]),
  new Map([
    ...originalUNet({ ...tiny, depths: [1, 1], linear: true }),
    ...autoencoder,
    ...originalOpenClip('cond_stage_model.model.', 64, 2),
  ]),
  new Map([
    ...originalUNet({ ...tiny, depths: [0, 1], linear: true, admInChannels: 64 + 6 * 8 }),
    ...autoencoder,
    ...originalClip('conditioner.embedders.0.transformer.', 64, 2),
    ...originalOpenClip('conditioner.embedders.1.model.', 64, 2),
  ]),
];
const loras: Shapes[] = [
  new Map([
    ['lora_unet_mid_fc.lora_down.weight', [2, 3]],
    ['lora_unet_mid_fc.lora_up.weight', [4, 2]],
    ['lora_unet_mid_fc.alpha', []],
    ['lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight', [2, 3]],
    ['lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight', [4, 2]],
  ]),
  new Map([
    ['unet.mid.fc.lora_A.weight', [2, 3]],
    ['unet.mid.fc.lora_B.weight', [4, 2]],
    ['unet.mid.fc.processor.to_q_lora.down.weight', [2, 3]],
    ['unet.mid.fc.processor.to_q_lora.up.weight', [4, 2]],
  ]),
];

const place = fc.double({ min: 0, max: 0.999, noNaN: true });
const oddName = fc.constantFrom(
  ...[
    '',
    '.',
    'constructor',
    '__proto__',
    'toString',
    'v_pred',
    'edm_mean',
    'global_step',
    'label_emb.0.0.weight',
  ],
  ...[
    'model.diffusion_model.',
    'model.diffusion_model.constructor.weight',
    'model.diffusion_model.out.2.weight',
  ],
  ...[
    'model.diffusion_model.input_blocks.1.0.op.weight',
    'cond_stage_model.model.toString',
    'first_stage_model.',
  ],
  ...['conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight', 'decoder.conv_in.weight'],
  ...[
    'lora_unet_input_blocks_4_1_proj_in.alpha',
    'lora_unet_middle_block_7_x.alpha',
    'unet..alpha',
    'lora_te_.alpha',
  ],
);
const shape = fc.oneof(
  fc.array(fc.nat(5), { maxLength: 5 }),
  fc.array(fc.constantFrom(0, 1, 64, 192, 2 ** 31, Number.MAX_SAFE_INTEGER), { maxLength: 4 }),
);

type Damage = (entries: [string, readonly number[]][]) => void;
const at = (entries: readonly unknown[], where: number) => Math.floor(where * entries.length);

const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.tuple(place, fc.nat(40)).map(
    ([where, count]): Damage =>
      (entries) => {
        entries.splice(at(entries, where), count);
      },
  ),
  fc.tuple(place, shape).map(
    ([where, changed]): Damage =>
      (entries) => {
        const entry = entries[at(entries, where)];
        if (entry) entry[1] = changed;
      },
  ),
  fc.tuple(place, fc.oneof(oddName, fc.string({ maxLength: 12 }))).map(
    ([where, name]): Damage =>
      (entries) => {
        const entry = entries[at(entries, where)];
        if (entry) entry[0] = name;
      },
  ),
  fc.tuple(place, fc.constantFrom('.0.', '.1.', '.2.', '.9.', '.99999999999999999999.', '.-1.')).map(
    ([where, number]): Damage =>
      (entries) => {
        const entry = entries[at(entries, where)];
        if (entry) entry[0] = entry[0].replace(/\.\d+\./, number);
      },
  ),
  fc.tuple(oddName, shape).map(
    ([name, changed]): Damage =>
      (entries) => {
        entries.push([name, changed]);
      },
  ),
);

const dtypes: DType[] = ['float16', 'float32', 'bfloat16', 'int8', 'int64', 'bool'];

/** A file that nobody reads. */
const source = { name: 'damaged', size: 2 ** 40, read: () => Promise.reject(new Error('read')) };

/** Damaged copies of `originals`, some of them not damaged at all. */
const damaged = (originals: readonly Shapes[]): fc.Arbitrary<Weights> =>
  fc
    .tuple(fc.constantFrom(...originals), fc.array(damage, { maxLength: 3 }), fc.constantFrom(...dtypes))
    .map(([original, damages, dtype]) => {
      const entries = [...original].map(([name, s]): [string, readonly number[]] => [name, s]);
      for (const apply of damages) apply(entries);
      return new Map(
        entries.map(([name, s]): [string, Weight] => {
          const length = elementCount(s);
          return [name, { dtype, shape: s, storage: { kind: 'source', source, offset: 0, length } }];
        }),
      );
    });

function fuzz(originals: readonly Shapes[], read: (weights: Weights) => void): Promise<void> {
  return readsOrRefuses(damaged(originals), read, numRuns);
}

it(`reads or refuses ${numRuns} damaged checkpoints`, async () => {
  const configs = {
    UNet2DConditionModel: unet2DConditionConfig,
    AutoencoderKL: autoencoderKLConfig,
    CLIPTextModel: clipTextConfig,
    CLIPTextModelWithProjection: clipTextConfig,
  };
  await fuzz(checkpoints, (weights) => {
    const { networks } = readCheckpoint(weights, 'damaged.safetensors');
    for (const { className, config } of networks.values())
      configs[className as keyof typeof configs](config());
  });
});

it(`reads or refuses ${numRuns} damaged autoencoders`, async () => {
  await fuzz([autoencoder, new Map([['decoder.layers.0.weight', [64, 4, 3, 3]]])], (weights) => {
    const training = { sampleSize: 512, scalingFactor: 0.18215 };
    const { className, config } = autoencoderAlone(weights, 'damaged.safetensors', training);
    if (className === 'AutoencoderKL') autoencoderKLConfig(config);
  });
});

it(`reads or refuses ${numRuns} damaged LoRAs`, async () => {
  const base: Weights = new Map([
    [
      'mid.fc.weight',
      { dtype: 'float32', shape: [4, 3], storage: { kind: 'bytes', bytes: new Uint8Array(48) } },
    ],
  ]);
  await fuzz(loras, (weights) => {
    const lora = readLora(weights, {}, 'damaged.safetensors');
    const { params } = withLoras(paramsFromWeights(base).params, 'unet', [{ lora, strength: 1 }]);
    expect(params.weight('mid.fc.weight', [4, 3], zerosInitializer).shape).toEqual([4, 3]);
  });
});
