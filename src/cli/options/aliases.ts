/** Names under which hands know an option from other tools. */
import { type Command, Option } from 'commander';

/** Lets the command take further flags for an option that it has; its help does not list them. */
export function withAliases(command: Command, long: string, aliases: readonly string[]): Command {
  const target = command.options.find((option) => option.long === long);
  if (!target) throw new Error(`${command.name()} has no option ${long}`);
  for (const alias of aliases) {
    const option = new Option(`${alias} <value>`, target.description).hideHelp();
    option.attributeName = () => target.attributeName();
    if (target.parseArg) option.argParser(target.parseArg);
    command.addOption(option);
  }
  return command;
}
