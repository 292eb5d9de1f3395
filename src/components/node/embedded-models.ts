/** What comes with the package, beside its code. */
import { fileURLToPath } from 'node:url';

const path = (name: string) => fileURLToPath(new URL(`../../../models/${name}`, import.meta.url));

/** A latent consistency model of little landscapes. */
export const EMBEDDED_MODEL_NAME = 'postcards';
export const EMBEDDED_MODEL = path(EMBEDDED_MODEL_NAME);
/** The classifier that its pictures are measured with. */
export const EMBEDDED_JUDGE = path('postcards-judge');
