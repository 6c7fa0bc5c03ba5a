import { Argument, type Command } from 'commander';
import { GOOD, printLine } from './io.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

interface Entry {
  /** Empty for the program itself; words with blanks between. */
  readonly path: string;
  /** Commands below it and its options. */
  readonly words: readonly string[];
}

/** What a shell reads to complete the commands and options of `program`. */
export const completion = (program: Command, shell: Shell): string => {
  const entries = entriesOf(program, '');
  switch (shell) {
    case 'bash':
      return bash(entries);
    case 'zsh':
      // zsh runs bash's completions as they are.
      return `#compdef vmwarden\nautoload -U +X bashcompinit && bashcompinit\n${bash(entries)}`;
    case 'fish':
      return fish(entries);
  }
};

const entriesOf = (command: Command, path: string): Entry[] => {
  const options = command.options.flatMap(({ long }) => long ?? []);
  const arguments_ = command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
  const below = command.commands.map((one) => one.name());
  return [
    { path, words: [...below, ...arguments_, ...options, '--help'] },
    ...command.commands.flatMap((one) =>
      entriesOf(one, path === '' ? one.name() : `${path} ${one.name()}`),
    ),
  ];
};

const bash = (entries: readonly Entry[]): string =>
  [
    '_vmwarden() {',
    '  local word path="" try i',
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    `    try="\${path:+$path }\${COMP_WORDS[i]}"`,
    '    case "$try" in',
    ...(entries.length > 1
      ? [
          `      ${entries
            .slice(1)
            .map(({ path }) => `"${path}"`)
            .join('|')}) path="$try" ;;`,
        ]
      : []),
    '    esac',
    '  done',
    `  word="\${COMP_WORDS[COMP_CWORD]}"`,
    '  case "$path" in',
    ...entries.map(
      ({ path, words }) =>
        `    "${path}") COMPREPLY=($(compgen -W "${words.join(' ')}" -- "$word")) ;;`,
    ),
    '  esac',
    '}',
    'complete -o default -F _vmwarden vmwarden',
    '',
  ].join('\n');

const fish = (entries: readonly Entry[]): string =>
  [
    'complete -c vmwarden -f',
    ...entries.flatMap(({ path, words }) => {
      const seen = path
        .split(' ')
        .filter((word) => word !== '')
        .map((word) => `__fish_seen_subcommand_from ${word}`);
      const when = seen.length === 0 ? '__fish_use_subcommand' : seen.join('; and ');
      return words.map((word) =>
        word.startsWith('--')
          ? `complete -c vmwarden -n '${when}' -l ${word.slice(2)}`
          : `complete -c vmwarden -n '${when}' -a ${word}`,
      );
    }),
    '',
  ].join('\n');

/** Adds `vmwarden completion`. All other commands have been added before, so that it knows them. */
export const addCompletionCommand = (program: Command): void => {
  program
    .command('completion')
    .description('print what makes a shell complete commands and options')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action(async (shell: Shell) => {
      await printLine(process.stdout, completion(program, shell).trimEnd());
      process.exitCode = GOOD;
    });
};
