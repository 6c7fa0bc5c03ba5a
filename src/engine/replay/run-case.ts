import type { EventType } from '../../event/event-type.js';
import { vmmEvent } from '../../event/vmm-event.js';
import type { Decision } from '../../gen/vmwarden/v1/record.js';
import type { CaseEvent, PolicyCase } from '../../policy/cases.js';
import type { Policy } from '../../policy/policy.js';
import type { GuestState, Outcome } from '../../vmm/driver.js';
import type { Arrival } from '../admit.js';
import type { VmRow } from '../vm-row.js';
import { Lives } from './lives.js';

/** What became of one event of a case. */
export interface CaseAnswer {
  /** null: it was not decided on its own. */
  readonly decision: Decision | null;
  readonly acts: boolean;
  readonly row: VmRow | null;
}

const HOST_BOOT = 'case';
const BOOT = 'boot';

/** Lets all of a case happen, in order, through the same steps as live traffic. Pure. */
export const runCase = (policy: Policy, one: PolicyCase): readonly CaseAnswer[] => {
  let decided: { decision: Decision; acts: boolean }[] = [];
  const lives = new Lives({
    policy,
    journalId: 'case',
    labels: new Map(),
    ending: ({ incident }) => ending(one, incident?.plan[incident.index]?.verb ?? ''),
    onChange: (_before, { records }) => {
      for (const { incidentId, body } of records) {
        if (body?.$case !== 'decision') continue;
        decided.push({ decision: body.value, acts: incidentId !== '' });
      }
    },
  });
  return one.events.map((event, index) => {
    const vm = event.vm ?? one.vm.id;
    const wallMs = one.startsAt + event.at;
    lives.come({ wallMs, monoMs: event.at, hostBootId: HOST_BOOT });
    const own = vm === one.vm.id;
    lives.inputs(vm, {
      labels: own ? one.vm.labels : {},
      host: one.host.name,
      hostVms: Math.max(one.host.vms, lives.rows.size),
      hostDying: 0,
      storm: false,
    });
    decided = [];
    if (event.type === undefined) {
      lives.operate(vm, (row) => ({ ...row, hold: null, remark: '', answered: null }));
    } else {
      const uid = own ? one.vm.uid : '';
      const sequence = index + 1;
      lives.take(
        arrivalOf(vm, uid, event, event.type, wallMs, lives.life),
        null,
        sequence,
        uid,
        true,
        false,
      );
      lives.go(vm);
    }
    const answer = decided.find(({ decision }) => Number(decision.eventSequence) === index + 1);
    return {
      decision: answer?.decision ?? null,
      acts: answer?.acts ?? false,
      row: lives.row(vm) ?? null,
    };
  });
};

const arrivalOf = (
  vm: string,
  uid: string,
  { origin, initiator, anomalies, age }: CaseEvent,
  type: EventType,
  wallMs: number,
  life: string,
): Arrival => {
  const plain = vmmEvent(type, { reason: 'case', action: '', arguments: [], text: '' });
  // What is told late, or by the kernel, comes from a reporter; the rest the VM's own driver sees.
  const reported = age > 0 || origin === 'kernel';
  return {
    report: {
      vm,
      uid,
      event: { ...plain, anomalies: [...plain.anomalies, ...anomalies] },
      origin,
      initiator,
      bootId: BOOT,
      key: null,
      occurredAtMs: age > 0 ? wallMs - age : null,
      reconciled: false,
    },
    driver: reported
      ? null
      : {
          boots: 0,
          life,
          bootId: BOOT,
          state: STATE[type] ?? null,
          earlier: false,
          mayRepeat: false,
        },
  };
};

/** As which the guest is found after it. */
const STATE: Readonly<Partial<Record<EventType, GuestState>>> = {
  CRASH: 'panicked',
  SHUTDOWN: 'shutdown',
  WATCHDOG: 'watchdog',
  VMM_ERROR: 'error',
  VMM_EXITED: 'exited',
  SUSPEND: 'suspended',
  RESET: 'running',
};

const ending = ({ outcomes }: PolicyCase, verb: string): Outcome => {
  const kind = Object.entries(outcomes).find(([of]) => of === verb)?.[1] ?? 'applied';
  return kind === 'applied' || kind === 'already'
    ? { kind, proof: ['the case says so'], state: 'unknown' }
    : { kind, reason: 'CASE', message: 'the case says so', proof: [] };
};
