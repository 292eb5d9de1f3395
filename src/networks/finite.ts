/** Results that are no numbers: told of before they become a black picture, with where they come from. */
import type { Engine } from '../engines/engine.ts';
import { InputError, type InputErrorFields } from '../errors.ts';
import { float32Data, type HostTensor } from '../graph/host-tensor.ts';
import { cast, reduceSum, subtract } from '../graph/operators/index.ts';
import { program } from '../graph/program.ts';
import { elementCount } from '../graph/shape.ts';
import { parameter, type Tensor } from '../graph/tensor.ts';
import type { AppliedLora } from '../weights/lora.ts';
import { type Network, type NetworkRole, programOf, specsOf } from './network.ts';

/** A network or a scheduler gave NaN or infinity. */
export class NotFiniteError extends InputError {
  constructor(message: string, fields: InputErrorFields = {}) {
    super(message, { code: 'not-finite', ...fields });
  }
}

/** Whether no element is NaN or infinite. A million of them take about a millisecond. */
export function allFinite(values: HostTensor['data']): boolean {
  if (!(values instanceof Float32Array)) return true;
  // What is not finite gives NaN here, and a sum keeps it.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * 0;
  return sum === 0;
}

/** Why a network gave NaN or infinity for `inputs`: what it was given, its weights, or else what usually does it. */
export async function notFinite(
  engine: Engine,
  network: Network,
  loras: readonly AppliedLora[],
  inputs: Readonly<Record<string, HostTensor>>,
): Promise<NotFiniteError> {
  const { name, role, component } = network;
  const given = Object.keys(inputs).find((input) => !allFinite(inputs[input]!.data));
  if (given !== undefined) {
    return new NotFiniteError(
      `the ${name} was given ${given} that hold NaN or infinity; check the betas in the model's scheduler_config.json`,
    );
  }
  const weight = await weightNotFinite(engine, network, inputs, loras);
  if (weight !== undefined) {
    const from = loras[Number(/^lora\.(\d+)\./.exec(weight)?.[1])]?.lora.from ?? component.location;
    return new NotFiniteError(
      `${from}: the weight ${weight} holds NaN or infinity, and so does what the ${name} makes of it. The file is ` +
        'damaged, or was converted to float16, which has no numbers above 65504: download it again, or use another one',
      { path: from },
    );
  }
  return new NotFiniteError(
    `${component.location}: what the ${name} computes on ${engine.name}${sizeOf(inputs)} grows to NaN or infinity, ` +
      `though its weights are finite; ${usualCause(role)}`,
    { path: component.location },
  );
}

/** How large the values are that say most about a network's state: latents far above 10 are none of a picture. */
function sizeOf({ latents, sample }: Readonly<Record<string, HostTensor>>): string {
  const values = latents ?? sample;
  if (values === undefined) return '';
  const largest = float32Data(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return `, of latents up to ${Number(largest.toPrecision(3))},`;
}

function usualCause(role: NetworkRole): string {
  if (AUTOENCODING.has(role)) {
    return 'check scaling_factor in its config.json, or use another VAE';
  }
  const lora = 'usual causes are a LoRA of too high a strength';
  return role === 'denoiser'
    ? `${lora}, and a prediction type or a scheduler_config.json that is not the model's`
    : `${lora}, and a config.json that is not the model's`;
}

const AUTOENCODING: ReadonlySet<NetworkRole> = new Set([
  'encoder',
  'decoder',
  'decoder-statistics',
  'preview-decoder',
  'autoencoder',
]);

/** Elements of weights that are looked at together: about as many as an engine prepares at a time. */
const ELEMENTS_AT_ONCE = 2 ** 25;

/** The name of the first weight that is not finite, by the engine, which reads weights wherever they lie. */
async function weightNotFinite(
  engine: Engine,
  network: Network,
  inputs: Readonly<Record<string, HostTensor>>,
  loras: readonly AppliedLora[],
): Promise<string | undefined> {
  const { program: whole, weights } = programOf(network, specsOf(inputs), { loras });
  const waiting = [...whole.parameters];
  while (waiting.length > 0) {
    const differences: Record<string, Tensor> = {};
    for (let elements = 0; waiting.length > 0 && elements < ELEMENTS_AT_ONCE; ) {
      const [name, { shape, dtype }] = waiting.shift()!;
      const values = cast(parameter(name, shape, dtype), 'float32');
      // 0 for a number, NaN for anything else.
      differences[name] = reduceSum(subtract(values, values));
      elements += elementCount(shape);
    }
    const executable = await engine.compile(program(differences), { weights, name: 'weights' });
    const sums = await executable.run({});
    await executable.dispose();
    const found = Object.keys(differences).find((name) => !allFinite(sums[name]!.data));
    if (found !== undefined) return found;
  }
  return undefined;
}
