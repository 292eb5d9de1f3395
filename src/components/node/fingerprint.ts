/** A model's weights in a few digits, without reading all of them. */
import { createHash } from 'node:crypto';
import { storedBytes } from '../../weights/load-tensors.ts';
import type { Weights } from '../../weights/weights.ts';
import type { ModelFiles } from '../model-files.ts';

/** In the order in which they are hashed. */
const NETWORKS = ['unet', 'vae', 'text_encoder', 'text_encoder_2'];

/** Of each network, evenly spread: enough that whatever was trained differently is among them. */
const SAMPLED_TENSORS = 64;
/** Training changes every number of a tensor, so its first bytes tell. */
const SAMPLED_BYTES = 64;

/**
 * The first 16 hexadecimal digits of the SHA-256 of every weight's name, type and shape and of the first bytes of some
 * weights. It tells apart models that were trained differently, and the types that one was stored in; it is no proof
 * that nothing was changed. Throws InputError when a file cannot be read.
 */
export async function modelFingerprint(files: ModelFiles): Promise<string> {
  const networks = NETWORKS.filter((name) => files.classes.has(name)).map(
    async (name) => [name, (await files.network(name)).weights] as const,
  );
  return weightsFingerprint(await Promise.all(networks));
}

/** The same of some networks, in their order. */
export async function weightsFingerprint(
  networks: readonly (readonly [name: string, weights: Weights])[],
): Promise<string> {
  const hash = createHash('sha256');
  for (const [component, weights] of networks) {
    const names = [...weights.keys()].sort();
    for (const name of names) {
      const { dtype, shape } = weights.get(name)!;
      hash.update(`${component}.${name} ${dtype} ${shape}\n`);
    }
    const every = Math.ceil(names.length / SAMPLED_TENSORS);
    for (const name of names.filter((_, i) => i % every === 0)) {
      hash.update(await storedBytes(weights.get(name)!.storage, SAMPLED_BYTES));
    }
  }
  return hash.digest('hex').slice(0, 16);
}
