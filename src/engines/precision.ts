/** In which type an engine computes. Whatever it is, values go in and come out as the program says. */

export type Precision = 'float32' | 'bfloat16' | 'float16';

export const precisions: readonly Precision[] = ['float32', 'bfloat16', 'float16'];
