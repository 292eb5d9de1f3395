/** What all training objectives have in common: scalars to report, and the gradients of one of them. */
import { grad } from '../../graph/gradient.ts';
import { type Program, program } from '../../graph/program.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Declaration } from '../../layers/params.ts';

/** What an objective writes. */
export interface Objective {
  /** The scalar that is minimised, []. */
  readonly loss: Tensor;
  /** Parts of the loss and other scalars to report, by name. */
  readonly parts?: Readonly<Record<string, Tensor>>;
  /** The loss of each sample, [B], for reports by group. */
  readonly sampleLoss?: Tensor;
  /** Intermediates that tests look at; not part of a training program. */
  readonly intermediates?: Readonly<Record<string, Tensor>>;
}

/** Gradients leave a training program under this prefix and the parameter's name. */
export const GRADIENT_PREFIX = 'grad/';

/** The program of a training step: the loss, its parts, and its gradient for every trained parameter. */
export function trainingProgram(objective: Objective, trained: ReadonlyMap<string, Declaration>): Program {
  const names = [...trained.keys()];
  const gradients = grad(
    objective.loss,
    [...trained.values()].map(({ tensor }) => tensor),
  );
  return program({
    loss: objective.loss,
    ...objective.parts,
    ...(objective.sampleLoss && { sample_loss: objective.sampleLoss }),
    ...Object.fromEntries(names.map((name, i) => [`${GRADIENT_PREFIX}${name}`, gradients[i]!])),
  });
}
