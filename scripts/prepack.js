/** Before `npm pack` and `npm publish`: dist/ from these sources and nothing else, and the files that travel in vendor/. */
import { build } from './build.js';

// The sources that maps would point to are not in the package.
build('--sourceMap', 'false');
await import('./carry-onnxruntime.js');
