import type { Command } from 'commander';

/** What `--help` shows at its end, by command; `sub command` for those below one. */
export const EXAMPLES: Readonly<{ [command: string]: readonly string[] }> = {
  serve: ['vmwarden serve --config /etc/vmwarden/vmwarden.yaml'],
  demo: ['vmwarden demo'],
  events: [
    'vmwarden events --follow',
    'vmwarden events --vm web-1 --kind decision step --limit 20',
    'vmwarden events --type CRASH WATCHDOG --label tier=gold',
    'vmwarden events --after 1200 --json',
  ],
  vms: ['vmwarden vms', 'vmwarden vms --json'],
  explain: ['vmwarden explain web-1', 'vmwarden explain web-1 --json'],
  act: [
    'vmwarden act web-1 restart --reason "hangs since the update"',
    'vmwarden act web-1 dump --timeout 30m --reason "for the kernel team"',
    'vmwarden act web-1 nmi --reason "hangs; its kernel panics on an NMI"',
    'vmwarden act web-1 power-off --reason "retired"',
    'vmwarden act web-1 cancel --reason "looking at it by hand"',
  ],
  hold: [
    'vmwarden hold web-1 --reason "looking at it by hand"',
    'vmwarden hold --host --reason "new kernel"',
  ],
  release: [
    'vmwarden release web-1 --reason "looked at"',
    'vmwarden release --host --reason "done"',
  ],
  'budget reset': ['vmwarden budget reset web-1 crash --reason "cause mended"'],
  report: [
    'vmwarden report --vm web-1 --arch arm64 --cap 1 --hex 0300000000000000',
    'vmwarden report --vm web-1 --file - --request-id run-7 --json < events.jsonl',
  ],
  healthcheck: ['vmwarden healthcheck --timeout 1s'],
  completion: [
    'vmwarden completion bash > /etc/bash_completion.d/vmwarden',
    'vmwarden completion zsh > ~/.zsh/completions/_vmwarden',
    'vmwarden completion fish > ~/.config/fish/completions/vmwarden.fish',
  ],
};

export const addExamples = (program: Command, path = ''): void => {
  for (const command of program.commands) {
    const name = `${path}${command.name()}`;
    const examples = EXAMPLES[name];
    if (examples !== undefined) {
      command.addHelpText(
        'after',
        ['', 'Examples:', ...examples.map((one) => `  ${one}`)].join('\n'),
      );
    }
    addExamples(command, `${name} `);
  }
};
