import type { PolicyChange } from './config/policy-source.js';
import type { RunningEngine } from './engine/create-engine.js';
import type { Logger } from './lib/logger.js';
import type { Policy } from './policy/policy.js';
import { formatProblem } from './policy/problem.js';
import type { HealthBoard } from './server/health-board.js';

export interface PolicyInForceOptions {
  readonly file: string;
  readonly log: Logger;
  readonly health: Pick<HealthBoard, 'up' | 'degraded'>;
}

/** Takes what the policy file says to the engine; an edit while the engine starts waits for it. */
export interface PolicyInForce {
  /** Never throws. */
  onChange(change: PolicyChange): void;
  /** The engine runs now, by the policy `given`: a newer one that came meanwhile takes its place. */
  attach(engine: Pick<RunningEngine, 'setPolicy'>, given: Policy): void;
}

type Loaded = Extract<PolicyChange, { kind: 'loaded' }>;

export const createPolicyInForce = ({ file, log, health }: PolicyInForceOptions): PolicyInForce => {
  let engine: Pick<RunningEngine, 'setPolicy'> | null = null;
  let waiting: Policy | null = null;

  const enforce = (to: Pick<RunningEngine, 'setPolicy'>, policy: Policy): void => {
    // It decides by it from this call on; what is waited for is the journal.
    to.setPolicy(policy, file).catch((error: unknown) => {
      log.error({ error }, 'the policy is in force, but its revision is not journaled');
    });
    const { name, mode, hash } = policy;
    log.info({ file, policy: name, mode, hash }, 'policy in force');
  };

  const loaded = ({ policy, warnings }: Loaded): void => {
    health.up('policy');
    for (const warning of warnings) {
      log.warn({ file, warning: formatProblem(warning) }, 'policy warning');
    }
    if (engine === null) waiting = policy;
    else enforce(engine, policy);
  };

  return {
    onChange: (change) => {
      switch (change.kind) {
        case 'loaded':
          loaded(change);
          return;
        case 'broken': {
          const problems = change.problems.map(formatProblem);
          const why = `${file} is broken, the last good one stays: ${problems[0] ?? ''}`;
          health.degraded('policy', why);
          log.error({ file, problems }, 'policy file is broken; the last good one stays in force');
        }
      }
    },
    attach: (running, given) => {
      engine = running;
      if (waiting !== null && waiting !== given) enforce(running, waiting);
      waiting = null;
    },
  };
};
