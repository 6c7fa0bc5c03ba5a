import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { already, applied, cancelled, failed, unverified } from '../act.js';
import type { AgentOutcome, AgentVerb } from '../attach.js';
import type { Act, Inspection, Outcome } from '../driver.js';

/** Why this verb has nothing to do, or may not be done, on a guest that was inspected just now; null: go on. */
export const refuseVerb = (
  verb: AgentVerb,
  { state, raw }: Inspection,
  { cause }: Act,
): Outcome | null => {
  switch (verb) {
    case 'restart':
      // Another source's word, or an operator's: nothing tells whether it is of this boot.
      return state === 'running' && cause.boots === null && !cause.resumed
        ? cancelled('STATE_DISAGREES', 'the guest runs, and nothing shows that it died')
        : null;
    case 'pause':
      // One that is stopped, for whatever reason, is left as it is.
      return state === 'running' ? null : already([`status ${raw}`], state);
    case 'resume':
      if (state === 'running') return already(['status running'], state);
      return state === 'paused' || state === 'prelaunch'
        ? null
        : failed(
            'WRONG_STATE',
            `a guest in status ${raw} is restarted or powered off, not continued`,
          );
    case 'nmi':
      return state === 'running'
        ? null
        : failed('WRONG_STATE', `a guest in status ${raw} takes no NMI`);
    case 'powerOff':
    case 'dump':
      return null;
  }
};

/** What is seen after an agent's `applied` or `already`: its word counts only where this bears it out. */
export const prove = async (
  verb: AgentVerb,
  said: AgentOutcome & { readonly kind: 'applied' | 'already' },
  before: Inspection,
  after: Inspection,
  dumpPath: string,
): Promise<Outcome> => {
  const seen = verb === 'dump' ? await fileSeen(dumpPath) : effectSeen(verb, before, after);
  if (!seen.proven) {
    return unverified('NOT_PROVEN', `the agent says that it is done, but ${seen.what}`, [
      ...said.proof,
      seen.what,
    ]);
  }
  // What the agent has said in the same words need not be said twice.
  const proof = [...said.proof.filter((line) => line !== seen.what), seen.what];
  return said.kind === 'applied' ? applied(proof, after.state) : already(proof, after.state);
};

interface Seen {
  readonly proven: boolean;
  readonly what: string;
}

const effectSeen = (
  verb: Exclude<AgentVerb, 'dump'>,
  before: Inspection,
  after: Inspection,
): Seen => {
  const what = `status ${after.raw}`;
  switch (verb) {
    case 'restart': {
      const booted = after.boots > before.boots;
      // One that was reset before and only had to be continued.
      const continued = before.state === 'prelaunch' && after.state === 'running';
      if (booted) {
        return { proven: after.bootId === before.bootId, what: `${what}, a new boot seen` };
      }
      return {
        proven: continued,
        what: `${what}, ${continued ? 'continued' : 'no new boot seen'}`,
      };
    }
    case 'powerOff':
      return { proven: after.state === 'exited' || after.state === 'shutdown', what };
    case 'pause':
      return { proven: after.state !== 'running', what };
    case 'resume':
      return { proven: after.state === 'running', what };
    case 'nmi':
      // What the guest makes of it comes as an event; that it was sent is the agent's word.
      return { proven: true, what };
  }
};

/** A file in a directory that only the VMM sees can't be looked at from here: then the agent's word has to do. */
const fileSeen = async (file: string): Promise<Seen> => {
  const size = await sizeOf(file);
  if (size !== null) return { proven: size > 0, what: `${file} holds ${size} bytes` };
  return (await sizeOf(path.dirname(file))) === null
    ? { proven: true, what: `${file} can not be seen from here` }
    : { proven: false, what: `${file} is not there` };
};

const sizeOf = async (file: string): Promise<number | null> => {
  try {
    return (await lstat(file)).size;
  } catch {
    return null;
  }
};
