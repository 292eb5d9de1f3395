/**
 * What other programs take for instructions in a prompt: Automatic1111 and Forge weights, LoRAs, prompts that change
 * between steps; ComfyUI weights. Here a prompt is words, as in diffusers. So it is said where one holds such syntax,
 * prompts from there are brought to their words, and those from here are written so that they stay words there.
 */

/** `<lora:name:0.8>`, taken out of the prompt by Automatic1111 whatever stands in it. */
const NETWORK = /<(\w+):([^<>]+)>/g;

/** Constructs by name, not behind a backslash, and only as far as they hardly occur in ordinary sentences. */
const CONSTRUCTS: readonly RegExp[] = [
  /<(?:lora|lyco|hypernet):[^<>]+>/,
  /(?<!\\)\([^()]*:\s*[+-]?[\d.]+\s*\)/, // (word:1.2)
  /(?<!\\)\(\([^()]*\)\)/,
  /(?<!\\)\[[^[\]]+\]/,
  /\\[()[\]]/,
  /\bBREAK\b/,
];

/** `AND` stands between two prompts, unless all of it is in capitals. */
const AND = /\bAND\b/;

/** The first of each kind of instruction in a prompt, as they stand there. */
export function promptSyntax(prompt: string): string[] {
  const found = CONSTRUCTS.flatMap((construct) => construct.exec(prompt)?.[0] ?? []);
  if (AND.test(prompt) && /\p{Ll}/u.test(prompt)) found.push('AND');
  return found;
}

/**
 * The prompt so that Automatic1111 reads it as the words that it is here. A backslash before a character is taken away
 * there, and the character stands for itself.
 */
export function escapePrompt(prompt: string): string {
  return prompt
    .replace(/[\\()[\]]/g, '\\$&')
    .replace(/<(\w+):/g, '<$1\\:')
    .replace(/\bBREAK\b/g, 'B\\REAK')
    .replace(/\bAND\b/g, 'A\\ND');
}

export interface Network {
  readonly kind: string;
  readonly name: string;
  /** Of the UNet; 1 where none stands there. */
  readonly strength: number;
}

/** The prompt without `<lora:…>` and its like, and what those were. */
export function withoutNetworks(prompt: string): { prompt: string; networks: Network[] } {
  const networks: Network[] = [];
  const words = prompt.replace(NETWORK, (_, kind: string, value: string) => {
    const [name = '', first] = value.split(':');
    // One number is the strength, or named ones are several: unet=0.8.
    const strength = Number(/^(?:unet=)?([+-]?[\d.]+)$/.exec(first ?? '1')?.[1] ?? Number.NaN);
    networks.push({ kind, name, strength: Number.isNaN(strength) ? 1 : strength });
    return '';
  });
  return { prompt: networks.length > 0 ? words.trim() : prompt, networks };
}

/** `[from:to:when]` and `[one|other]` change between steps and have no words of their own. */
function isEdited(prompt: string): boolean {
  const bracketed = prompt.match(/(?<!\\)\[[^[\]]*\]/g) ?? [];
  return bracketed.some((text) => /[:|]/.test(text));
}

/** As Automatic1111's `parse_prompt_attention` splits a prompt; ComfyUI knows no square brackets. */
const ATTENTION = /\\([\\()[\]])|\\|:\s*[+-]?[.\d]+\s*\)|[()[\]]|[^\\()[\]:]+|:/g;

/**
 * The words of a prompt with weights: `a (red:1.2) fox \(animal\)` → `a red fox (animal)`. A prompt that changes between
 * steps stays as it is. `brackets`: whether square ones weigh, too.
 */
export function withoutWeights(
  prompt: string,
  { brackets }: { brackets: boolean },
): { prompt: string; weighted: boolean } {
  if (brackets && isEdited(prompt)) return { prompt, weighted: false };
  const words: string[] = [];
  let weighted = false;
  const open = { '(': 0, '[': 0 };
  for (const [token, escaped] of prompt.matchAll(ATTENTION)) {
    if (escaped !== undefined) words.push(escaped);
    else if (token === '(' || (token === '[' && brackets)) {
      open[token] += 1;
      weighted = true;
    } else if (token.endsWith(')') && open['('] > 0) open['('] -= 1;
    else if (token === ']' && open['['] > 0) open['['] -= 1;
    else if (token !== '\\' || !brackets) words.push(token);
  }
  return { prompt: words.join(''), weighted };
}
