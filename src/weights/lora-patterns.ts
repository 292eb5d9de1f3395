/**
 * Which of peft's `alpha_pattern` and `rank_pattern` holds for a layer: the first KEY of which the regular expression
 * `(.*\.)?(KEY)` fits the whole name (peft's `get_pattern_key`). The expressions come from strangers; RE2 matches them in
 * time that is linear in the name, and what they cost together is bounded.
 */
import { RE2JS, RE2JSSyntaxException } from 're2js';
import { InputError } from '../errors.ts';
import { shown } from '../messages.ts';

/** Characters of a pattern. Names of layers have up to 100. */
const LONGEST_PATTERN = 1000;

/**
 * What all patterns may cost together: steps of an expression times characters of names. With the 800 layers of a LoRA on
 * all of SDXL that is 200 expressions of 20 steps; names without operators cost next to nothing.
 */
const MOST_WORK = 2e8;

/** Nothing in it is an operator, but for what any character fits and the beginning. */
const PLAIN = /^\^?[\w.-]*$/;

/**
 * The pattern that holds for each layer, by the layer's name; none for layers that no pattern fits. `from` names the
 * patterns in errors. Throws InputError for one that is no regular expression, or has what RE2 does not.
 */
export function patternsOfLayers(
  patterns: readonly string[],
  layers: readonly string[],
  from: string,
): Map<string, string> {
  const found = new Map<string, string>();
  const characters = layers.reduce((sum, { length }) => sum + length, 0);
  let work = 0;
  const spend = (cost: number) => {
    work += cost;
    if (work <= MOST_WORK) return;
    throw new InputError(
      `${from} has ${patterns.length} patterns for ${layers.length} layers, which would take too long to compare; name the layers without operators`,
      { path: from },
    );
  };
  for (const pattern of patterns) {
    const { fits, steps } = matcher(pattern, from);
    spend(steps * (steps === 1 ? layers.length : characters));
    for (const layer of layers) {
      if (!found.has(layer) && fits(layer)) found.set(layer, pattern);
    }
  }
  return found;
}

/** steps: 1 for a plain name. */
function matcher(pattern: string, from: string): { fits: (layer: string) => boolean; steps: number } {
  if (pattern.length > LONGEST_PATTERN) {
    throw new InputError(
      `${from} has a pattern of ${pattern.length} characters; expected at most ${LONGEST_PATTERN}`,
      { path: from },
    );
  }
  if (PLAIN.test(pattern)) return { fits: (layer) => fitsPlain(pattern, layer), steps: 1 };
  // Python's "at most n times", which RE2 would take for characters.
  const unknown = /\{,\d*\}/.exec(pattern)?.[0];
  if (unknown !== undefined) throw unreadable(pattern, from, `${unknown}; write {0${unknown.slice(1)}`);
  try {
    // By itself first: unequal parentheses would take the ones around it for their own.
    RE2JS.compile(pattern);
    const expression = RE2JS.compile(`(.*\\.)?(${pattern})`);
    return { fits: (layer) => expression.matches(layer), steps: expression.programSize() };
  } catch (error) {
    if (error instanceof RE2JSSyntaxException) throw unreadable(pattern, from, error.message);
    throw error;
  }
}

function fitsPlain(pattern: string, layer: string): boolean {
  const isWhole = pattern.startsWith('^');
  const name = isWhole ? pattern.slice(1) : pattern;
  const start = layer.length - name.length;
  if (start < 0 || (start > 0 && (isWhole || layer[start - 1] !== '.'))) return false;
  for (let i = 0; i < name.length; i++) {
    if (name[i] !== '.' && name[i] !== layer[start + i]) return false;
  }
  return true;
}

function unreadable(pattern: string, from: string, reason: string): InputError {
  return new InputError(
    `${from}: the pattern ${shown(pattern)} is not a regular expression that is read here (RE2's, so neither look-around nor back-references): ${reason}`,
    { path: from },
  );
}
