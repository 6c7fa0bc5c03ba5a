import type { RelayStatus } from './bus/relay-status.js';
import type { HealthBoard } from './server/health-board.js';

/** How often it is noticed how the fleet bus does. */
const LOOK_MS = 1_000;
/** Records behind that are no more the usual few. */
const LAG_TO_TELL = 10_000;

/**
 * Keeps the health board's `bus` true until what it returns is called. A bus out of reach only lags; one that an
 * operator has to mend takes the program out of service.
 */
export const watchRelay = (
  relay: { status(): RelayStatus },
  health: HealthBoard,
): (() => Promise<void>) => {
  const look = (): void => {
    const status = relay.status();
    const reason = busReason(status);
    if (status.fault?.code === 'FAILED_PRECONDITION') health.down('bus', reason);
    else if (reason !== '') health.degraded('bus', reason);
    else health.up('bus');
  };
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  look();
  return async () => clearInterval(timer);
};

/** Empty: all is well. */
const busReason = ({ state, fault, warnings, lag }: RelayStatus): string => {
  const waiting = lag === 0 ? '' : `; ${lag} records wait`;
  switch (state) {
    case 'connecting':
      return `is connecting${waiting}`;
    case 'waiting':
      return `${fault?.message ?? 'waits'}${waiting}`;
    case 'relaying':
      return [...(lag > LAG_TO_TELL ? [`${lag} records behind`] : []), ...warnings].join('; ');
    case 'stopped':
      return `stopped${waiting}`;
  }
};
