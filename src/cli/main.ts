/** The command line: finds the command, runs it, and turns whatever went wrong into one line and an exit code. */
import { Command, CommanderError } from 'commander';
import { type ErrorJson, InputError, UsageError } from '../errors.ts';
import { commands } from './commands/index.ts';
import { interruption } from './interruption.ts';
import { messageWithFlags } from './options/flag-names.ts';
import { jsonLine, shownLine, shownText } from './terminal-text.ts';
import { version } from './version.ts';

const HELP = ['-h', '--help'];

/** Exit codes: 0 done, 1 something the request needs is not right, 2 the request is not right, 130 cancelled. */
export async function run(typed: readonly string[]): Promise<void> {
  const { signal, exitCode, leave } = interruption();
  const argv = withUsualWords(typed);
  try {
    await parse(argv, signal);
  } catch (error) {
    const code = exitCode();
    if (code !== undefined) leave();
    process.exitCode = code ?? report(error, argv);
  }
}

/** `lcm help generate` and `lcm version`, as people try them, in place of `--help` and `--version`. */
function withUsualWords([first, ...rest]: readonly string[]): readonly string[] {
  if (first === 'help') return [...rest.filter((word) => word !== '--help'), '--help'];
  if (first === 'version') return ['--version'];
  return first === undefined ? [] : [first, ...rest];
}

/** Finds the command and runs it; throws what goes wrong. `signal` ends it between two of its steps. */
export async function parse(argv: readonly string[], signal: AbortSignal): Promise<void> {
  const program = new Command('lcm')
    .enablePositionalOptions()
    .description('Train, distil and run latent consistency models.')
    .version(await version(), '-V, --version', 'print the version');
  const wanted = argv.find((word) => !word.startsWith('-'));
  for (const { name, summary, load } of commands) {
    // Only the command that was asked for is loaded; the others are there for the help and for suggestions.
    const command = name === wanted ? await load(signal) : new Command(name);
    program.addCommand(command.summary(summary));
  }
  settle(program);
  // Where the help of a command is asked for that does not exist, commander would print the help of those that do.
  const words = namesNoCommand(program, argv) ? argv.filter((word) => !HELP.includes(word)) : argv;
  await program.parseAsync(words, { from: 'user' });
}

/** Whether a word stands where the name of a command is expected, and is none. */
function namesNoCommand(program: Command, argv: readonly string[]): boolean {
  let command: Command | undefined = program;
  for (const word of argv.filter((word) => !word.startsWith('-'))) {
    if (command.commands.length === 0) return false;
    command = command.commands.find((candidate) => candidate.name() === word);
    if (command === undefined) return true;
  }
  return false;
}

/** The behaviour that every command and subcommand shares. */
function settle(command: Command): void {
  command
    .exitOverride()
    .configureOutput({ outputError: () => {} }) // reported once, in `report`
    .helpOption('-h, --help', 'print this help');
  if (command.commands.length > 0) command.helpCommand(false).showHelpAfterError(false);
  if (command.parent) command.option('--verbose', 'on failure, print where in the code it happened');
  command.commands.forEach(settle);
}

/** Prints what went wrong, with --json on the standard output as well, and returns the exit code. */
function report(error: unknown, argv: readonly string[]): number {
  if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')) {
    return error.exitCode === 0 ? 0 : 2;
  }
  const isUsage = error instanceof CommanderError || error instanceof UsageError;
  const message = error instanceof CommanderError ? usageMessage(error, argv) : messageWithFlags(error);
  if (argv.includes('--json'))
    process.stdout.write(`${jsonLine({ type: 'error', ...fieldsOf(error), message })}\n`);
  console.error(shownLine(`lcm: ${message}`));
  if (argv.includes('--verbose') && error instanceof Error && !(error instanceof CommanderError)) {
    console.error(shownText(error.stack ?? ''));
  }
  return isUsage ? 2 : 1;
}

/** What programs are told of an error beside its text; of a defect nothing. */
function fieldsOf(error: unknown): Partial<ErrorJson> {
  if (error instanceof CommanderError) return { code: 'invalid-request' };
  return error instanceof InputError || error instanceof UsageError ? error.toJSON() : {};
}

function usageMessage(error: CommanderError, argv: readonly string[]): string {
  const [message, suggestion] = error.message.replace(/^error: /, '').split('\n');
  const isUnknown = error.code === 'commander.unknownCommand';
  // Of a group the help tells which there are.
  const path = isUnknown ? commandPath(argv.slice(0, 1)) : commandPath(argv);
  const isPrompt = isUnknown && !suggestion && path === '';
  const help = isPrompt
    ? `to draw it, run: lcm generate ${JSON.stringify(argv[0])}; "lcm --help" lists the commands`
    : `run "lcm ${path}--help" for what it takes`;
  const hint = suggestion ? ` ${suggestion.replace(/[()]/g, '')}` : '';
  return `${message}${hint}; ${help}`;
}

/** The words that name the command, for the hint: `train diffusion `. */
function commandPath(argv: readonly string[]): string {
  const words = argv.slice(0, 2).filter((word) => /^[a-z]+$/.test(word));
  const known = commands.find(({ name }) => name === words[0]);
  if (!known) return '';
  return known.group ? words.map((word) => `${word} `).join('') : `${words[0]} `;
}
