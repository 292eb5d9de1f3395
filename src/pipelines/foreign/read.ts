/** Settings of other programs, in whichever of the texts of a picture they are. */

import { PARAMETERS_KEYWORD } from '../../images/embedded-text.ts';
import type { PngText } from '../../images/png-text.ts';
import { readAutomatic1111 } from './automatic1111.ts';
import { readComfyUI } from './comfyui.ts';
import type { ForeignSettings } from './settings.ts';

/** The graph that ComfyUI ran. */
const GRAPH_KEYWORD = 'prompt';

/** Undefined where there are none. Throws InputError for damaged ones. */
export function readForeignSettings(text: PngText): ForeignSettings | undefined {
  const { [PARAMETERS_KEYWORD]: parameters, [GRAPH_KEYWORD]: graph } = text;
  const automatic1111 = parameters === undefined ? undefined : readAutomatic1111(parameters);
  if (automatic1111 || !graph?.trimStart().startsWith('{')) return automatic1111;
  return readComfyUI(graph);
}
