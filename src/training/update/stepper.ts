/**
 * What makes a step of a training: given a batch, it changes parameters and says what there is to report. The loop knows
 * no more of it, so that the parameters may lie on another device or be shared with other machines.
 */
import { joined } from '../../graph/batch.ts';
import { float32Data, type HostTensor } from '../../graph/host-tensor.ts';
import { GRADIENT_PREFIX } from '../objectives/objective.ts';
import { meanScalar, type SharedStep } from './data-parallel.ts';
import type { Ema } from './ema.ts';
import type { FlatParameters } from './flat-parameters.ts';
import type { AdamW } from './optimizer.ts';

/** What one training step is given. */
export interface Batch {
  readonly inputs: Readonly<Record<string, HostTensor>>;
  /** Pictures in the batch, for the rate. */
  readonly images: number;
  /** A name per picture: the objective's `sample_loss` [B] is reported as its mean under each name. */
  readonly groups?: readonly string[];
  /** Further batches, as large, whose gradients make one update with this one's. */
  readonly more?: readonly Batch[] | undefined;
}

export interface Stepper {
  /**
   * One update: `loss`, `gradient_norm` and whatever else the objective reports. Begins to compute before it returns.
   * Throws NotFinite when they are no numbers; whatever it throws, nothing was changed.
   */
  step(batch: Batch, learningRate: number): Promise<Readonly<Record<string, number>>>;
  /** All that the next step depends on beside its batch, as it is now; a checkpoint is made of it. */
  state(): Promise<StepperState>;
  /** Goes on from a state, whose tensors have the names and shapes of `state`'s. */
  restore(state: StepperState): Promise<void>;
}

export interface StepperState {
  readonly tensors: Readonly<Record<string, HostTensor>>;
  /** Updates that the optimiser has made. */
  readonly updates: number;
}

/** Loss or gradients are NaN or infinite. */
export class NotFinite extends Error {
  override name = 'NotFinite';
  readonly reported: Readonly<Record<string, number>>;

  constructor(reported: Readonly<Record<string, number>>) {
    super('loss and gradients must be finite numbers');
    this.reported = reported;
  }
}

export interface HostStepperOptions {
  /** Computes `loss`, further scalars to report, and `grad/<name>` for every trained parameter. */
  readonly program: SharedStep;
  /** The trained parameters, fed to the program by their names. */
  readonly parameters: FlatParameters;
  readonly optimizer: AdamW;
  /** Those that the optimiser updates. */
  readonly averages: Readonly<Record<string, Ema>>;
  /** Weights that change as training goes on but are not trained, such as the target network. */
  readonly feeds?: Readonly<Record<string, HostTensor>> | undefined;
  readonly maxGradientNorm?: number | undefined;
}

/** Parameters, moments and averages in the host's memory: gradients come from an engine, AdamW is a loop over arrays. */
export function hostStepper(options: HostStepperOptions): Stepper {
  const { program, parameters, optimizer, maxGradientNorm } = options;
  const inputs = { ...parameters.tensors(), ...options.feeds };
  const tensors = tensorsOf(options);
  return {
    async step(batch, learningRate) {
      const { gradients, values } = await accumulated(program, inputs, [batch, ...(batch.more ?? [])]);
      const norm = await optimizer.gather(gradients);
      const reported = { ...values, gradient_norm: norm };
      if (!Number.isFinite(reported.loss) || !Number.isFinite(norm)) throw new NotFinite(reported);
      await optimizer.apply({ learningRate, maxGradientNorm });
      return reported;
    },
    state: async () => ({ tensors, updates: optimizer.updates }),
    async restore(state) {
      for (const [name, tensor] of Object.entries(tensors)) {
        float32Data(tensor).set(float32Data(state.tensors[name]!));
      }
      optimizer.updates = state.updates;
    },
  };
}

/** Views: they change as training goes on. */
function tensorsOf({ parameters, optimizer, averages }: HostStepperOptions): Record<string, HostTensor> {
  return {
    ...parameters.tensors('parameters/'),
    ...optimizer.firstMoment.tensors('first_moment/'),
    ...optimizer.secondMoment.tensors('second_moment/'),
    ...Object.assign(
      {},
      ...Object.entries(averages).map(([name, average]) => average.parameters.tensors(`average/${name}/`)),
    ),
  };
}

type Gradients = Map<string, HostTensor>;

/** The mean of the batches' gradients, for each share, and of what they report. One batch's gradients are held beside it. */
async function accumulated(
  program: SharedStep,
  inputs: Readonly<Record<string, HostTensor>>,
  batches: readonly Batch[],
): Promise<{ gradients: Gradients[]; values: Record<'loss', number> & Record<string, number> }> {
  const values: (Record<'loss', number> & Record<string, number>)[] = [];
  let gradients: Gradients[] = [];
  for (const batch of batches) {
    const shares = await program.run({ ...inputs, ...batch.inputs });
    values.push(reportedValues(shares, batch));
    const further = shares.map(gradientsOf);
    if (gradients.length === 0) gradients = further;
    else for (const [i, sum] of gradients.entries()) addTo(sum, further[i]!);
  }
  if (batches.length > 1) for (const sum of gradients) scale(sum, 1 / batches.length);
  return { gradients, values: meanOf(values) };
}

function addTo(sums: Gradients, further: Gradients): void {
  for (const [name, tensor] of sums) {
    const [sum, more] = [float32Data(tensor), float32Data(further.get(name)!)];
    for (let i = 0; i < sum.length; i++) sum[i]! += more[i]!;
  }
}

function scale(sums: Gradients, factor: number): void {
  for (const tensor of sums.values()) {
    const sum = float32Data(tensor);
    for (let i = 0; i < sum.length; i++) sum[i]! *= factor;
  }
}

/** Of every value, over those that have it: a group may be missing in a batch. */
function meanOf<T extends Record<string, number>>(values: readonly T[]): T {
  const names = new Set(values.flatMap((each) => Object.keys(each)));
  const mean = (name: string) => {
    const present = values.flatMap((each) => (name in each ? [each[name]!] : []));
    return present.reduce((sum, value) => sum + value, 0) / present.length;
  };
  return Object.fromEntries([...names].map((name) => [name, mean(name)])) as T;
}

function gradientsOf(outputs: Readonly<Record<string, HostTensor>>): Map<string, HostTensor> {
  const gradients = new Map<string, HostTensor>();
  for (const [name, tensor] of Object.entries(outputs)) {
    if (name.startsWith(GRADIENT_PREFIX)) gradients.set(name.slice(GRADIENT_PREFIX.length), tensor);
  }
  return gradients;
}

/** The means of all scalars among the outputs, and those of `sample_loss` per group of the batch. */
export function reportedValues(
  shares: readonly Readonly<Record<string, HostTensor>>[],
  batch: Batch,
): Record<'loss', number> & Record<string, number> {
  const reported: Record<'loss', number> & Record<string, number> = { loss: Number.NaN };
  const ofAll = (name: string) => shares.map((share) => share[name]!);
  for (const [name, { shape }] of Object.entries(shares[0]!)) {
    if (shape.length === 0 && !name.startsWith(GRADIENT_PREFIX)) reported[name] = meanScalar(ofAll(name));
  }
  if (shares[0]!.sample_loss && batch.groups) {
    const losses = float32Data(joined(ofAll('sample_loss')));
    const byGroup = new Map<string, number[]>();
    batch.groups.forEach((group, i) => {
      byGroup.set(group, [...(byGroup.get(group) ?? []), losses[i]!]);
    });
    for (const [group, values] of byGroup) {
      reported[`loss_${group}`] = values.reduce((sum, value) => sum + value, 0) / values.length;
    }
  }
  return reported;
}
