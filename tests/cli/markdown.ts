/** Commands and examples in Markdown: its fenced blocks, and of shell blocks the words of each command. */

/** One command as a shell would run it. */
export interface Command {
  readonly line: number;
  /** As it is written. */
  readonly text: string;
  readonly words: readonly string[];
  /** What is written behind it after `#`. */
  readonly comment: string;
}

interface Block {
  readonly language: string;
  /** Of its first line, from 1. */
  readonly line: number;
  readonly text: string;
}

const shells = ['sh', 'bash', 'shell'];

function blocksOf(markdown: string): Block[] {
  const found = markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm);
  return [...found].map((match) => ({
    language: match[1]!,
    line: markdown.slice(0, match.index).split('\n').length + 1,
    text: match[2]!,
  }));
}

/** The examples of the library. */
export function examplesOf(markdown: string): Block[] {
  return blocksOf(markdown).filter(({ language }) => language === 'ts');
}

/** What stands between single backticks outside of blocks. */
export function inlineCodeOf(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/`([^`]+)`/g)].map(([, text]) => text!);
}

/** Lines that look like commands in blocks of another kind. */
export function strayCommandsOf(markdown: string): string[] {
  const others = blocksOf(markdown).filter(({ language }) => !shells.includes(language));
  return others.flatMap(({ text }) => text.split('\n').filter((line) => /^\s*\$?\s*(npx )?lcm /.test(line)));
}

/** Every command of the shell blocks: one for each line, and each part of a line joined with `&&`. */
export function commandsOf(markdown: string): Command[] {
  const shell = blocksOf(markdown).filter(({ language }) => shells.includes(language));
  return shell.flatMap(({ line: first, text }) => {
    const lines = text.split('\n').map((line, i) => ({ line: first + i, ...withoutComment(line) }));
    return lines.flatMap(({ line, command, comment }) =>
      command
        .split('&&')
        .map((part) => part.trim())
        .filter((part) => part !== '')
        .map((part) => ({ line, text: part, words: wordsOf(part), comment })),
    );
  });
}

function withoutComment(line: string): { command: string; comment: string } {
  const [, command, comment] = /^((?:[^"'#]|"[^"]*"|'[^']*'|(?<=\S)#)*)(?:#(.*))?$/.exec(line) ?? [];
  if (command === undefined) throw new Error(`not a line of shell that is understood here: ${line}`);
  return { command, comment: (comment ?? '').trim() };
}

/** Words between blanks; quotes keep blanks and are taken off. Anything else that a shell would expand is refused. */
function wordsOf(command: string): string[] {
  const words = [...command.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)].map(([word]) => word);
  if (/[$`\\|<>;*?]/.test(command.replace(/"[^"]*"|'[^']*'/g, ''))) {
    throw new Error(`not a command that is understood here: ${command}`);
  }
  return words.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, (_, a = '', b = '') => a + b));
}
