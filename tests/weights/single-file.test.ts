/** Checkpoints of the published sizes, by names and shapes alone: which model they are, and what its parts are called. */
import { describe, expect, it } from 'vitest';
import { InputError, UsageError } from '../../src/errors.ts';
import { input } from '../../src/graph/tensor.ts';
import { DeclaredParams } from '../../src/layers/params.ts';
import { autoencoderKLConfig, decode, encode } from '../../src/models/autoencoder-kl.ts';
import { clipText, clipTextConfig, clipTextProjection } from '../../src/models/clip-text.ts';
import { unet2DCondition } from '../../src/models/unet-2d-condition.ts';
import { unet2DConditionConfig } from '../../src/models/unet-2d-condition-config.ts';
import { autoencoderAlone } from '../../src/weights/single-file/autoencoder.ts';
import {
  type Checkpoint,
  type CheckpointHints,
  readCheckpoint,
} from '../../src/weights/single-file/checkpoint.ts';
import { parameterShape } from '../../src/weights/weights.ts';
import { inFile, originalAutoencoder, originalCheckpoints, type Shapes, source } from './original-layout.ts';

const read = (shapes: Shapes, hints?: CheckpointHints) =>
  readCheckpoint(inFile(shapes), 'model.safetensors', hints);

/** Expects a part to have exactly the weights that the model asks for. */
function expectWeights(
  checkpoint: Checkpoint,
  component: string,
  declare: (declared: DeclaredParams) => void,
): void {
  const declared = new DeclaredParams();
  declare(declared);
  const described = (all: Iterable<[string, readonly number[]]>) =>
    [...all].map(([name, s]) => `${name} [${s}]`).sort();
  const { weights } = checkpoint.networks.get(component)!;
  const unused = checkpoint.family === 'stable-diffusion-2' ? /^text_projection|\.layers\.23\./ : /^$/;
  expect(
    described(
      [...weights].filter(([name]) => !unused.test(name)).map(([name, w]) => [name, parameterShape(w)]),
    ),
  ).toEqual(described([...declared.declarations].map(([name, { shape }]) => [name, shape])));
}

const xlText = [
  { hidden_size: 768, intermediate_size: 3072, num_attention_heads: 12, hidden_act: 'quick_gelu' },
  {
    hidden_size: 1280,
    intermediate_size: 5120,
    num_attention_heads: 20,
    num_hidden_layers: 32,
    projection_dim: 1280,
    hidden_act: 'gelu',
  },
] as const;
const xlUNet = {
  sample_size: 128,
  cross_attention_dim: 2048,
  block_out_channels: [320, 640, 1280],
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
  attention_head_dim: [5, 10, 20],
  use_linear_projection: true,
  addition_embed_type: 'text_time',
  addition_time_embed_dim: 256,
  projection_class_embeddings_input_dim: 2816,
} as const;

const published = [
  {
    name: 'sd15',
    pipelineClass: 'StableDiffusionPipeline',
    scheduler: {
      className: 'PNDMScheduler',
      config: { prediction_type: 'epsilon', steps_offset: 1, skip_prk_steps: true },
    },
    unet: { sample_size: 64, cross_attention_dim: 768 },
    vae: { sample_size: 512, scaling_factor: 0.18215 },
    text: [{ hidden_size: 768, intermediate_size: 3072, num_attention_heads: 12, hidden_act: 'quick_gelu' }],
  },
  {
    name: 'sd15Inpainting',
    pipelineClass: 'StableDiffusionInpaintPipeline',
    scheduler: { className: 'PNDMScheduler', config: { skip_prk_steps: true } },
    unet: { sample_size: 64, cross_attention_dim: 768, in_channels: 9 },
    vae: { sample_size: 512, scaling_factor: 0.18215 },
    text: [{ hidden_size: 768, intermediate_size: 3072, num_attention_heads: 12, hidden_act: 'quick_gelu' }],
  },
  {
    name: 'sd15Lcm',
    pipelineClass: 'LatentConsistencyModelPipeline',
    scheduler: { className: 'LCMScheduler', config: { original_inference_steps: 50 } },
    unet: { sample_size: 64, cross_attention_dim: 768, time_cond_proj_dim: 256 },
    vae: { sample_size: 512, scaling_factor: 0.18215 },
    text: [{ hidden_size: 768, intermediate_size: 3072, num_attention_heads: 12, hidden_act: 'quick_gelu' }],
  },
  {
    name: 'sd21',
    pipelineClass: 'StableDiffusionPipeline',
    scheduler: { className: 'DDIMScheduler', config: { prediction_type: 'v_prediction' } },
    unet: {
      sample_size: 96,
      cross_attention_dim: 1024,
      attention_head_dim: [5, 10, 20, 20],
      use_linear_projection: true,
    },
    vae: { sample_size: 768, scaling_factor: 0.18215 },
    text: [
      {
        hidden_size: 1024,
        intermediate_size: 4096,
        num_attention_heads: 16,
        num_hidden_layers: 23,
        hidden_act: 'gelu',
      },
    ],
  },
  {
    name: 'sdxl',
    pipelineClass: 'StableDiffusionXLPipeline',
    scheduler: { className: 'EulerDiscreteScheduler', config: { prediction_type: 'epsilon' } },
    unet: { ...xlUNet, transformer_layers_per_block: [1, 2, 10] },
    vae: { sample_size: 1024, scaling_factor: 0.13025 },
    text: xlText,
  },
  {
    name: 'ssd1b',
    pipelineClass: 'StableDiffusionXLPipeline',
    scheduler: { className: 'EulerDiscreteScheduler', config: { prediction_type: 'epsilon' } },
    unet: {
      ...xlUNet,
      mid_block_type: 'UNetMidBlock2D',
      transformer_layers_per_block: [1, 2, 4],
      reverse_transformer_layers_per_block: [[4, 4, 10], [2, 1, 1], 1],
    },
    vae: { sample_size: 1024, scaling_factor: 0.13025 },
    text: xlText,
  },
] as const;

describe.each(published)('$name', ({ name, pipelineClass, scheduler, unet, vae, text }) => {
  const checkpoint = read(originalCheckpoints[name]());
  const configOf = (component: string) => checkpoint.networks.get(component)!.config();

  it('is recognised, with the configuration that was published', () => {
    expect(checkpoint.pipelineClass).toBe(pipelineClass);
    expect(checkpoint.scheduler).toMatchObject(scheduler);
    expect(unet2DConditionConfig(configOf('unet'))).toEqual(unet2DConditionConfig(unet));
    expect(autoencoderKLConfig(configOf('vae'))).toMatchObject({
      ...vae,
      block_out_channels: [128, 256, 512, 512],
      layers_per_block: 2,
      latent_channels: 4,
      mid_block_add_attention: true,
    });
    text.forEach((expected, i) => {
      expect(clipTextConfig(configOf(i === 0 ? 'text_encoder' : 'text_encoder_2'))).toMatchObject({
        ...expected,
        vocab_size: 49408,
        max_position_embeddings: 77,
        eos_token_id: 2,
      });
    });
  });

  it('has the weights of its UNet', () => {
    const config = unet2DConditionConfig(configOf('unet'));
    expectWeights(checkpoint, 'unet', ({ params }) => {
      unet2DCondition(config, params, {
        sample: input('x', [1, config.in_channels, 8, 8]),
        timestep: input('t', [1]),
        encoderHiddenStates: input('states', [1, 77, config.cross_attention_dim]),
        ...(config.time_cond_proj_dim && { timestepCond: input('w', [1, config.time_cond_proj_dim]) }),
        ...(config.addition_embed_type && {
          addedCond: { textEmbeds: input('pooled', [1, 1280]), timeIds: input('sizes', [1, 6]) },
        }),
      });
    });
  });

  it('has the weights of its autoencoder', () => {
    const config = autoencoderKLConfig(configOf('vae'));
    expectWeights(checkpoint, 'vae', ({ params }) => {
      encode(config, params, input('pixels', [1, 3, 64, 64]));
      decode(config, params, input('latents', [1, 4, 8, 8]));
    });
  });

  it('has the weights of its text encoders', () => {
    text.forEach((_, i) => {
      const component = i === 0 ? 'text_encoder' : 'text_encoder_2';
      const config = clipTextConfig(configOf(component));
      expectWeights(checkpoint, component, ({ params }) => {
        const { pooled } = clipText(config, params, input('ids', [1, 77], 'int64'));
        if (i > 0) clipTextProjection(config, params, pooled);
      });
    });
  });
});

describe('OpenCLIP', () => {
  it('has queries, keys and values one after the other in one tensor, which stays where it is', () => {
    const shapes = originalCheckpoints.sd21();
    const joint = inFile(shapes).get(
      'cond_stage_model.model.transformer.resblocks.3.attn.in_proj_weight',
    )!.storage;
    const { weights } = read(shapes).networks.get('text_encoder')!;
    const start = joint.kind === 'source' ? joint.offset : 0;
    ['q_proj', 'k_proj', 'v_proj'].forEach((projection, i) => {
      expect(weights.get(`text_model.encoder.layers.3.self_attn.${projection}.weight`)).toEqual({
        dtype: 'float16',
        shape: [1024, 1024],
        storage: { kind: 'source', source, offset: start + i * 2 * 1024 * 1024, length: 2 * 1024 * 1024 },
      });
    });
  });
});

describe('what a checkpoint predicts', () => {
  const sd21 = originalCheckpoints.sd21();
  const prediction = (shapes: Shapes, hints?: CheckpointHints) =>
    read(shapes, hints).scheduler.config.prediction_type;

  it('is what the user says, what the metadata say, or what is usual', () => {
    const metadata = { 'modelspec.prediction_type': 'epsilon' };
    expect(prediction(sd21)).toBe('v_prediction');
    expect(prediction(sd21, { metadata })).toBe('epsilon');
    expect(prediction(sd21, { predictionType: 'sample' })).toBe('sample');
    expect(prediction(sd21, { metadata, predictionType: 'epsilon' })).toBe('epsilon');
    expect(() => read(sd21, { metadata, predictionType: 'v_prediction' })).toThrow(UsageError);
    expect(prediction(sd21, { globalStep: 875_000 })).toBe('epsilon');
    expect(prediction(sd21, { globalStep: 140_000 })).toBe('v_prediction');
    const convolution = 'model.diffusion_model.input_blocks.0.0.weight';
    const inpainting = new Map(sd21).set(convolution, [320, 9, 3, 3]);
    expect(read(inpainting).prediction).toEqual({ type: 'epsilon', source: 'family' });
    const xl = originalCheckpoints.sdxl().set('v_pred', []).set('ztsnr', []);
    expect(read(xl).prediction).toEqual({ type: 'v_prediction', source: 'file' });
    expect(() => read(xl, { predictionType: 'epsilon' })).toThrow(
      /prediction type epsilon: model\.safetensors says that it predicts v_prediction; leave/,
    );
    expect(read(xl).scheduler.config.rescale_betas_zero_snr).toBe(true);
    const sd15 = originalCheckpoints.sd15().set('v_pred', []).set('ztsnr', []);
    expect(read(sd15).scheduler.className).toBe('DDIMScheduler');
  });

  it('goes with the size of the pictures in Stable Diffusion 2', () => {
    const sizes = (hints: CheckpointHints) => {
      const { networks } = read(sd21, hints);
      return [networks.get('unet')!.config().sample_size, networks.get('vae')!.config().sample_size];
    };
    expect(sizes({ predictionType: 'v_prediction' })).toEqual([96, 768]);
    expect(sizes({ predictionType: 'epsilon' })).toEqual([64, 512]);
  });
});

describe('what is no checkpoint', () => {
  const sdxl = originalCheckpoints.sdxl();
  const without = (pattern: RegExp) => new Map([...sdxl].filter(([name]) => !pattern.test(name)));
  it.each<[string, Shapes, RegExp]>([
    ['nothing', new Map(), /is not a checkpoint.*empty/],
    ['something else', new Map([['wte.weight', [1]]]), /first one is wte\.weight/],
    ['a kohya LoRA', new Map([['lora_unet_mid.lora_up.weight', [1]]]), /holds a LoRA.*--lora/],
    ['a peft LoRA', new Map([['unet.mid.lora_A.weight', [1]]]), /holds a LoRA.*--lora/],
    [
      'a UNet of diffusers',
      new Map(
        ['conv_in', 'time_embedding.linear_1', 'down_blocks.0.resnets.0.conv1', 'conv_out'].map((name) => [
          `${name}.weight`,
          [1],
        ]),
      ),
      /UNet alone.*--unet/,
    ],
    ['an autoencoder', originalAutoencoder(), /autoencoder.*--vae/],
    [
      'a refiner',
      without(/embedders\.1|embedders\.0\.transformer/).set('conditioner.embedders.0.model.x', [1]),
      /refiner/,
    ],
    [
      'an instruction model',
      new Map(sdxl).set('model.diffusion_model.input_blocks.0.0.weight', [320, 8, 3, 3]),
      /takes 8 channels; supported are 4, and 9/,
    ],
    [
      'an odd joint projection',
      new Map(sdxl).set('conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_bias', [100]),
      /in_proj_bias of 100 rows/,
    ],
  ])('%s is refused', (_, shapes, message) => {
    expect(() => read(shapes)).toThrow(InputError);
    expect(() => read(shapes)).toThrow(message);
  });

  it.each<[string, RegExp, string, RegExp]>([
    [
      'a UNet without its last convolution',
      /diffusion_model\.out\.2/,
      'unet',
      /its UNet has no out\.2\.weight/,
    ],
    ['a UNet without a block', /output_blocks\.3\.0\./, 'unet', /on the way up/],
    ['a UNet without a transformer', /input_blocks\.4\.1\./, 'unet', /1 transformers, of 2 layers, beside 2/],
    [
      'a UNet with transformers of other depths',
      /middle_block\.1\.transformer_blocks\.9/,
      'unet',
      /9 layers in the middle and of 10 before/,
    ],
    ['an autoencoder without an end', /decoder\.conv_out/, 'vae', /its VAE has no decoder\.conv_out/],
    [
      'a text encoder without a table',
      /embedders\.1\.model\.token_embedding/,
      'text_encoder_2',
      /token_embedding/,
    ],
  ])('%s has no configuration', (_, missing, component, message) => {
    const network = read(without(missing)).networks.get(component)!;
    expect(() => network.config()).toThrow(InputError);
    expect(() => network.config()).toThrow(message);
  });

  it('but an XL model without its text encoders still is recognised by the width of its prompts', () => {
    const { family, networks } = read(without(/^conditioner/));
    expect(family).toBe('stable-diffusion-xl');
    expect([...networks.keys()]).toEqual(['unet', 'vae']);
  });
});

describe('a file with an autoencoder alone', () => {
  const training = { sampleSize: 512, scalingFactor: 0.18215 };
  const alone = (shapes: Shapes) => autoencoderAlone(inFile(shapes), 'vae.safetensors', training);
  const named = (shapes: Shapes, rename: (name: string) => string) =>
    new Map([...shapes].map(([name, shape]) => [rename(name), shape]));

  it('is read with and without the prefix, and under the names of diffusers', () => {
    const original = originalAutoencoder();
    const expected = alone(original);
    expect(expected.config).toMatchObject({
      block_out_channels: [128, 256, 512, 512],
      scaling_factor: 0.18215,
    });
    const names = [...expected.weights.keys()];
    expect(names).toContain('decoder.up_blocks.3.resnets.0.conv_shortcut.weight');
    expect([
      ...alone(named(original, (name) => name.replace('first_stage_model.', ''))).weights.keys(),
    ]).toEqual(names);
    const current = new Map([...expected.weights].map(([name, { shape }]) => [name, shape]));
    expect([...alone(current).weights.keys()]).toEqual(names);
    expect(alone(current).config).toEqual(expected.config);
  });

  it('may be TAESD, of diffusers or the original', () => {
    const current: Shapes = new Map([
      ['decoder.layers.0.weight', [64, 4, 3, 3]],
      ['decoder.layers.2.conv.0.weight', [64, 64, 3, 3]],
    ]);
    const original: Shapes = new Map([
      ['1.weight', [64, 4, 3, 3]],
      ['3.conv.0.weight', [64, 64, 3, 3]],
    ]);
    for (const shapes of [current, original]) {
      const { className, config, weights } = alone(shapes);
      expect(className).toBe('AutoencoderTiny');
      expect(config).toMatchObject({ latent_channels: 4 });
      expect([...weights.keys()]).toEqual([...current.keys()]);
    }
  });

  it('is refused when it is something else', () => {
    expect(() => alone(new Map([['wte.weight', [1]]]))).toThrow(/holds no autoencoder.*wte\.weight/);
  });
});
