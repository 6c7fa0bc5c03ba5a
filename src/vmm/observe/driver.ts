import { Fault } from '../../lib/fault.js';
import type { Capabilities, Driver, Outcome, Watch } from '../driver.js';

const REASON = 'OBSERVE_ONLY';
const MESSAGE = 'this VM is only observed: its events come from reporters, and nothing acts on it';

const UNABLE = { able: false, reason: `${REASON}: ${MESSAGE}` } as const;

const CAPABILITIES: Capabilities = {
  verbs: {
    restart: UNABLE,
    restartProcess: UNABLE,
    dump: UNABLE,
    powerOff: UNABLE,
    pause: UNABLE,
    resume: UNABLE,
    nmi: UNABLE,
  },
  takeOver: false,
};

/** For a VM that vmwarden has no way to: events are reported over gRPC, decided and recorded. */
export const createObserveDriver = (): Driver => ({
  kind: 'observe',
  capabilities: () => CAPABILITIES,
  start: ({ signal }: Watch) =>
    new Promise((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    }),
  inspect: () => Promise.reject(new Fault('UNAVAILABLE', REASON, MESSAGE)),
  restart: refuse,
  restartProcess: refuse,
  dump: refuse,
  powerOff: refuse,
  pause: refuse,
  resume: refuse,
  nmi: refuse,
  refresh: () => Promise.resolve(),
  release: () => Promise.resolve(),
});

const refuse = (): Promise<Outcome> =>
  Promise.resolve({ kind: 'unsupported', reason: REASON, message: MESSAGE, proof: [] });
