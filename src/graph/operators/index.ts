/** All operators: each a function that checks its operands, infers the shape and knows its gradient. */
export * from './activations.ts';
export * from './arithmetic.ts';
export * from './attention.ts';
export * from './broadcast.ts';
export * from './conv.ts';
export * from './gather.ts';
export * from './matmul.ts';
export * from './normalization.ts';
export * from './pointwise.ts';
export * from './quantization.ts';
export * from './reduce.ts';
export * from './resize.ts';
export * from './shape.ts';
