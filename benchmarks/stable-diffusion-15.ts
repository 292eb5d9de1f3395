/** Stable Diffusion 1.5 at 512×512: seconds and GFLOP/s of each network, and where the time goes. */
import { type Components, loadComponents } from '../src/components/components.ts';
import { openModel } from '../src/components/node/open-model.ts';
import { createEngine, type EngineOptions } from '../src/engines/create-engine.ts';
import { type HostTensor, hostTensor } from '../src/graph/host-tensor.ts';
import { Networks } from '../src/networks/networks.ts';
import { Generator } from '../src/random/generator.ts';
import { stageFlops } from '../src/speed/flops.ts';
import { measure } from '../src/speed/timing.ts';
import { type OperatorTime, profileNetwork } from './profile.ts';
import { randomStableDiffusion15 } from './random-model.ts';

export interface StageSpeed {
  readonly stage: string;
  readonly seconds: number;
  readonly gflops: number;
}

/** Each network with what it takes for one picture, as generation runs them. */
async function networks512() {
  const { model, taesd } = await randomStableDiffusion15();
  const components = await loadComponents(await openModel(model));
  const { vae } = await loadComponents(await openModel(model, { vae: taesd }));
  const small = { ...components, vae };
  const flops = stageFlops(components);
  const text = components.textEncoder.config;
  const ids = hostTensor(new BigInt64Array(text.max_position_embeddings).fill(1n), [
    1,
    text.max_position_embeddings,
  ]);
  const sample = noise(1, [1, 4, 64, 64]);
  const states = noise(2, [1, text.max_position_embeddings, text.hidden_size]);
  const guidance = noise(3, [1, components.unet.config.guidanceWidth!]);
  return [
    {
      name: 'text encoder',
      components,
      flops: flops.textEncoder,
      run: (networks: Networks) => networks.encodeText(ids, 0),
    },
    {
      name: 'UNet',
      components,
      flops: flops.unet,
      run: (networks: Networks) => networks.predict({ sample, timestep: 999, states, guidance }),
    },
    {
      name: 'AutoencoderKL decoder',
      components,
      flops: flops.decoder,
      run: (networks: Networks) => networks.decode(sample),
    },
    {
      name: 'TAESD decoder',
      components: small,
      flops: stageFlops(small).decoder,
      run: (networks: Networks) => networks.decode(sample),
    },
  ];
}

/** One pass of each network for one picture. */
export async function measureStages(options: EngineOptions = {}): Promise<StageSpeed[]> {
  const speeds: StageSpeed[] = [];
  for (const { name, components, flops, run } of await networks512()) {
    speeds.push(await stage(name, components, flops, run, options));
  }
  return speeds;
}

/** Where the time of a pass of the UNet and of the AutoencoderKL's decoder goes. */
export async function profileStages(): Promise<
  { readonly stage: string; readonly operators: OperatorTime[] }[]
> {
  const profiles = [];
  for (const { name, components, run } of await networks512()) {
    if (name === 'UNet' || name === 'AutoencoderKL decoder') {
      profiles.push({ stage: name, operators: await profileNetwork(components, run) });
    }
  }
  return profiles;
}

/** Each network has an engine of its own, so that no other one's memory is in its way. */
async function stage(
  name: string,
  components: Components,
  flops: number,
  run: (networks: Networks) => Promise<HostTensor>,
  options: EngineOptions,
): Promise<StageSpeed> {
  const engine = createEngine(options);
  const networks = new Networks(components, engine);
  try {
    const { best: seconds } = await measure(() => run(networks), { seconds: 30, atLeast: 3 });
    return { stage: name, seconds, gflops: flops / seconds / 1e9 };
  } finally {
    await networks.dispose();
    await engine.dispose();
  }
}

function noise(seed: number, shape: readonly number[]): HostTensor {
  return hostTensor(new Generator(seed).normal(shape.reduce((product, size) => product * size, 1)), shape);
}
