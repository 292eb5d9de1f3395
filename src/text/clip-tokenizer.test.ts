import { describe, expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import { requireFitting } from './clip-tokenizer.ts';
import { loadClipTokenizer } from './tokenizer-files.ts';

/** A vocabulary of a few letters, in which "cat" is one token and "ca" begins other words. */
const vocab: Record<string, number> = { '<|startoftext|>': 0, '<|endoftext|>': 1 };
for (const token of ['a', 'c', 't', 's', 'a</w>', 't</w>', 's</w>', '!</w>', 'ca', 'cat</w>', ',</w>']) {
  vocab[token] = Object.keys(vocab).length;
}
const merges = '#version: 0.2\nc a\nca t</w>\n';

const files = (changes: Record<string, unknown> = {}) => {
  const all: Record<string, unknown> = { 'vocab.json': vocab, 'merges.txt': merges, ...changes };
  return (name: string) => {
    const content = all[name];
    return Promise.resolve(
      content === undefined || typeof content === 'string'
        ? (content as string | undefined)
        : JSON.stringify(content),
    );
  };
};
const load = (changes?: Record<string, unknown>) => loadClipTokenizer(files(changes), 'model/tokenizer');
const tokens = (ids: readonly number[]) =>
  ids.map((id) => Object.keys(vocab).find((token) => vocab[token] === id));

describe('a CLIP tokenizer', () => {
  it('joins pairs in the order in which they were learnt', async () => {
    const tokenizer = await load();
    expect(tokens(tokenizer.encode('Cat cats'))).toEqual([
      '<|startoftext|>',
      'cat</w>',
      'ca',
      't',
      's</w>',
      '<|endoftext|>',
    ]);
  });

  it('pads to any length', async () => {
    const tokenizer = await load({ 'tokenizer_config.json': { model_max_length: 6 } });
    expect(tokenizer.tokenize('cat')).toEqual({
      ids: [0, vocab['cat</w>'], 1, 1, 1, 1],
      truncated: undefined,
    });
    expect(tokenizer.tokenize('cat', 3)).toEqual({ ids: [0, vocab['cat</w>'], 1], truncated: undefined });
    expect(tokenizer.tokenize('', 2)).toEqual({ ids: [0, 1], truncated: undefined });
    expect(() => tokenizer.tokenize('cat', 1)).toThrow(RangeError);
  });

  it('tells what did not fit, from the first word that is not whole', async () => {
    const tokenizer = await load();
    expect(tokenizer.tokenize('Cat, cats  and CAT', 6)).toEqual({
      ids: [0, vocab['cat</w>'], vocab[',</w>'], vocab.ca, vocab.t, 1],
      truncated: 'cats and cat',
    });
    expect(tokenizer.tokenize('cat cat<|endoftext|>!', 3).truncated).toBe('cat<|endoftext|>!');
    expect(tokenizer.tokenize('cat<|endoftext|> !', 4).truncated).toBe('!');
  });

  it('gives batches as int64 [B, length]', async () => {
    const batch = (await load()).tokenizeBatch(['cat', ''], 4);
    expect(batch).toEqual({
      dtype: 'int64',
      shape: [2, 4],
      data: BigInt64Array.of(0n, BigInt(vocab['cat</w>']!), 1n, 1n, 0n, 1n, 1n, 1n),
    });
  });

  it('takes the unknown token for bytes that it has no symbol for', async () => {
    expect((await load()).encode('é')).toEqual([0, 1, 1, 1]);
  });

  it('finds special tokens as their flags say', async () => {
    const asWritten = await load();
    expect(asWritten.encode('<|startoftext|>')).toEqual([0, 0, 1]);
    expect(asWritten.encode('<|STARTOFTEXT|>').length).toBeGreaterThan(3);
    const bos_token = { content: '<|startoftext|>', normalized: true };
    const normalized = await load({ 'special_tokens_map.json': { bos_token } });
    expect(normalized.encode('<|STARTOFTEXT|>')).toEqual([0, 0, 1]);
  });

  it('takes the pad token from its settings, which makes it special', async () => {
    const tokenizer = await load({ 'special_tokens_map.json': { pad_token: '!</w>' } });
    expect(tokenizer.tokenize('cat', 4).ids).toEqual([0, vocab['cat</w>'], 1, vocab['!</w>']]);
    expect(tokenizer.encode('cat!</w>')).toEqual([0, vocab['cat</w>'], vocab['!</w>'], 1]);
  });

  it('reads tokenizer.json, with merges in either form', async () => {
    const whole = (merges: unknown) => ({
      'vocab.json': undefined,
      'merges.txt': undefined,
      'tokenizer.json': {
        added_tokens: [{ id: 99, content: '<new>', normalized: true }],
        model: { type: 'BPE', end_of_word_suffix: '</w>', vocab, merges },
      },
    });
    for (const merges of [
      ['c a', 'ca t</w>'],
      [
        ['c', 'a'],
        ['ca', 't</w>'],
      ],
    ]) {
      const tokenizer = await load(whole(merges));
      expect(tokenizer.encode('cat <NEW>')).toEqual([0, vocab['cat</w>'], 99, 1]);
      expect(tokenizer.vocabularySize).toBe(100);
    }
  });

  it('is quick with a word of thousands of letters', async () => {
    const ids = (await load()).encode('ca'.repeat(5000));
    expect(ids).toHaveLength(2 + 5001);
  });

  it('finds the longest special token, also among thousands of them', async () => {
    const few = { 0: '<|startoftext|>', 1: '<|endoftext|>', 20: 'cat', 21: 'cats', 22: 'ss', 23: 'ca(t)' };
    const entries = Object.entries(few).map(([id, content]) => [id, { content }]);
    const tokenizer = await load({
      'tokenizer_config.json': { added_tokens_decoder: Object.fromEntries(entries) },
    });
    expect(tokenizer.encode('cats cat ca(t) a').slice(1, -1)).toEqual([21, 20, 23, vocab['a</w>']]);
    expect(tokenizer.encode('catsss').slice(1, -1)).toEqual([21, 22]);
    const many = await load(addedTokens(4096));
    // Trying each of the tokens at each place would outlast the time limit of tests.
    expect(many.encode('ca '.repeat(300_000))).toHaveLength(600_002);
  });

  it('must fit the text encoder', async () => {
    const tokenizer = await load();
    expect(() => requireFitting(tokenizer, 13, 'model')).not.toThrow();
    expect(() => requireFitting(tokenizer, 12, 'model')).toThrow(InputError);
  });
});

/** `count` tokens that begin alike, and would be a pattern that takes seconds. */
function addedTokens(count: number): Record<string, unknown> {
  const entries = Array.from({ length: count }, (_, i) => [
    100 + i,
    { content: `c${i}(`.padEnd(256, 'a+)*') },
  ]);
  return { 'tokenizer_config.json': { added_tokens_decoder: Object.fromEntries(entries) } };
}

describe('tokenizer files are refused', () => {
  const token = (fields: object) => ({ 'special_tokens_map.json': { bos_token: fields } });
  it.each<[string, Record<string, unknown>, RegExp]>([
    ['when there are none', { 'vocab.json': undefined }, /holds no tokenizer/],
    ['when they are not JSON', { 'vocab.json': '{' }, /vocab\.json is not valid JSON/],
    ['when they hold a list', { 'vocab.json': '[]' }, /must hold a JSON object/],
    ['with an id that is no number', { 'vocab.json': { a: 'x' } }, /"a" has the id "x"/],
    ['with an id twice', { 'vocab.json': { a: 1, b: 1 } }, /"a" and "b" both/],
    ['with a merge of three', { 'merges.txt': 'a b c' }, /merge 1 is not a pair/],
    ['with a merge of unknown tokens', { 'merges.txt': 'a z' }, /"az", which its vocabulary lacks/],
    [
      'without their special tokens',
      { 'vocab.json': { a: 0 }, 'merges.txt': '' },
      /bos_token.*not in the vocabulary/,
    ],
    ['with a special token that is nothing', token({}), /"content"/],
    [
      'with a special token as long as a book',
      token({ content: 'a'.repeat(100_000) }),
      /"a+…" has 100000 characters; at most 256/,
    ],
    ['with more added tokens than any model', addedTokens(4097), /4097 added tokens; at most 4096/],
    ['with a special token that strips spaces', token({ content: 'a', lstrip: true }), /lstrip/],
    [
      "when they are another model's",
      { 'vocab.json': undefined, 'tokenizer.json': { model: { type: 'WordPiece' } } },
      /not CLIP's/,
    ],
  ])('%s', async (_, changes, message) => {
    const error = await load(changes).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(message);
  });
});
