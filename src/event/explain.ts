import { ANOMALY_NOTES, type Anomaly } from './anomaly.js';
import { findArch } from './arch.js';
import { explainWords, type WordNote } from './explain-words.js';
import { findKernelEvent, type KernelSource, kernelSource } from './kernel-events.js';
import type { SystemEvent } from './system-event.js';

/** An event told to a person: clauses without a closing stop, except `implies` and `notes`. */
export interface Explanation {
  readonly meaning: string;
  /** How many words there are, and why no others. */
  readonly words: string;
  readonly wordNotes: readonly WordNote[];
  /** What the detail says beyond the words. */
  readonly notes: readonly string[];
  readonly anomalies: readonly {
    readonly name: Anomaly;
    readonly says: string;
    readonly implies: string;
  }[];
  /** null: no mainline kernel of this architecture is known to make it so. */
  readonly source: KernelSource | null;
}

export const explain = (event: SystemEvent): Explanation => {
  const known = event.rawType === null ? undefined : findKernelEvent(event.rawType);
  const family = findArch(event.arch)?.family ?? 'other';
  return {
    meaning: known?.meaning ?? 'a raw type that no mainline kernel has',
    words: wordsClause(event),
    wordNotes: explainWords(event),
    notes: notesOf(event),
    anomalies: event.anomalies.map((name) => ({ name, ...ANOMALY_NOTES[name] })),
    source: kernelSource(event, family),
  };
};

const wordsClause = ({ anomalies, data }: SystemEvent): string => {
  if (anomalies.includes('DIALECT_NOT_DECODED'))
    return 'none: the layout behind the type is unknown';
  if (anomalies.includes('STALE_IGNORED')) return 'none that the kernel is known to have written';
  if (anomalies.includes('NDATA_OUT_OF_RANGE')) return 'none: the count is above 16';
  if (anomalies.includes('DATA_UNTRUSTED')) return 'none: a count above 1, without the capability';
  if (anomalies.includes('LEGACY_FLAGS')) return '1: the legacy flags, at offset 8';
  return data.length === 0 ? 'none: ndata is 0' : `${data.length}: ndata says so`;
};

const notesOf = ({ type, detail }: SystemEvent): readonly string[] => {
  switch (detail.kind) {
    case 'psci':
      return PSCI_NOTES[detail.call];
    case 'sbiReset':
      return type === 'RESET'
        ? ['A cold reboot and a warm one look alike: the reset type is not in the record.']
        : [];
    case 'hyperv':
      return detail.origin === 'HYPERV_CRASH_MSR'
        ? [
            'The guest wrote HV_X64_MSR_CRASH_CTL. Its five parameters stay in MSRs 0x40000100 to 0x40000104.',
            'KVM does not stop the guest: it runs on unless the VMM stops it.',
          ]
        : [
            'The guest wrote 1 to HV_X64_MSR_RESET. An ordinary reboot of an x86 guest never comes this way.',
          ];
    case 'ghcbNaeTermination':
      return [
        'Reason and code are in the GHCB page and in the host kernel log, not in the record.',
        SEALED,
      ];
    case 'ghcbTermination':
    case 'ghcbIllegalRequest':
      return [SEALED];
    case 'tdx':
      return detail.gpa === null
        ? [SEALED]
        : [
            'The guest says that more text is at the address. Never trust an address of a guest.',
            SEALED,
          ];
    default:
      return [];
  }
};

const SEALED =
  'The memory of the guest is sealed: a dump is of no use, and only a new process restarts it.';

type PsciCall = Extract<SystemEvent['detail'], { kind: 'psci' }>['call'];

const PSCI_NOTES: Readonly<Record<PsciCall, readonly string[]>> = {
  SYSTEM_OFF: [],
  SYSTEM_OFF2: ['The guest hibernated: keep its disks as those of a machine that will be resumed.'],
  SYSTEM_RESET: ['A panic that reboots looks the same as a user who does.'],
  SYSTEM_RESET2: ['Reset type and cookie are in guest registers x1 and x2 only.'],
  SYSTEM_SUSPEND: ['The VMM must set the vCPU suspended, or refuse the call in its registers.'],
};
