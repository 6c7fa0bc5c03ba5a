import type { ArchFamily } from './arch.js';
import type { EventType } from './event-type.js';
import type { SystemEvent } from './system-event.js';

/** Where a kernel makes the event. */
export interface KernelSource {
  readonly file: string;
  readonly function: string;
  /** First mainline release that does. */
  readonly since: string;
}

export interface KernelEvent {
  /** KVM_SYSTEM_EVENT_* in include/uapi/linux/kvm.h. */
  readonly number: number;
  readonly type: EventType;
  readonly meaning: string;
  /** The architectures that emit it, and where; from any other one the type is UNEXPECTED_ARCH. */
  readonly emittedBy: Readonly<Partial<Record<ArchFamily, KernelSource>>>;
}

const at = (file: string, name: string, since: string): KernelSource => ({
  file,
  function: name,
  since,
});

const SEV = 'arch/x86/kvm/svm/sev.c';
const MSR_PROTOCOL = 'sev_handle_vmgexit_msr_protocol';
const ARM64_PSCI = at('arch/arm64/kvm/psci.c', 'kvm_prepare_system_event', '3.16');
const ARM_PSCI = at('arch/arm/kvm/psci.c', 'kvm_prepare_system_event', '3.16');
const SBI_RESET = at('arch/riscv/kvm/vcpu_sbi.c', 'kvm_riscv_vcpu_sbi_system_reset', '5.18');

/** The kernel's own events. A number means what it means on an architecture, never alone. */
export const KERNEL_EVENTS: readonly KernelEvent[] = [
  {
    number: 1,
    type: 'SHUTDOWN',
    meaning: 'the guest asks to be powered off',
    emittedBy: {
      arm: ARM_PSCI,
      arm64: ARM64_PSCI,
      riscv: { ...SBI_RESET, since: '5.16' },
    },
  },
  {
    number: 2,
    type: 'RESET',
    meaning: 'the guest asks to be reset',
    emittedBy: {
      arm: ARM_PSCI,
      arm64: ARM64_PSCI,
      riscv: SBI_RESET,
      x86: at('arch/x86/kvm/x86.c', 'vcpu_enter_guest (KVM_REQ_HV_RESET)', '4.3'),
    },
  },
  {
    number: 3,
    type: 'CRASH',
    meaning: 'the guest says that it crashed',
    emittedBy: { x86: at('arch/x86/kvm/x86.c', 'vcpu_enter_guest (KVM_REQ_HV_CRASH)', '4.3') },
  },
  {
    number: 4,
    type: 'WAKEUP',
    meaning: 'a suspended vCPU has a reason to wake up',
    emittedBy: { arm64: at('arch/arm64/kvm/arm.c', 'kvm_vcpu_suspend', '5.19') },
  },
  {
    number: 5,
    type: 'SUSPEND',
    meaning: 'the guest asks to be suspended; the VMM must suspend the vCPU or refuse the call',
    emittedBy: { arm64: at('arch/arm64/kvm/psci.c', 'kvm_psci_system_suspend', '5.19') },
  },
  {
    number: 6,
    type: 'SEV_TERM',
    meaning: 'a confidential (SEV-ES, SEV-SNP) guest asks to be terminated',
    emittedBy: { x86: at(SEV, 'sev_handle_vmgexit', '5.19') },
  },
  {
    number: 7,
    type: 'TDX_FATAL',
    meaning: 'a confidential (TDX) guest reports a fatal error',
    emittedBy: { x86: at('arch/x86/kvm/vmx/tdx.c', 'tdx_report_fatal_error', '6.16') },
  },
];

/** The kernel's event of that raw type; undefined: no mainline kernel has one. */
export const findKernelEvent = (rawType: number): KernelEvent | undefined =>
  rawType > 0 ? KERNEL_EVENTS[rawType - 1] : undefined;

/** Requests of the GHCB MSR protocol for which KVM ends a guest that is no SEV-SNP guest (GHCB_MSR_*_REQ). */
export const SNP_ONLY_REQUESTS: ReadonlyMap<number, string> = new Map([
  [0x010, 'GHCB_MSR_PREF_GPA_REQ: which address it should use for its GHCB'],
  [0x012, 'GHCB_MSR_REG_GPA_REQ: to register the address of its GHCB'],
  [0x014, 'GHCB_MSR_PSC_REQ: to change the state of a page'],
]);

/**
 * Where mainline makes an event such as this one: what its words say chooses among code paths of several releases.
 * null: no mainline kernel of the architecture is known to make it.
 */
export const kernelSource = (
  { rawType, detail, anomalies }: SystemEvent,
  family: ArchFamily,
): KernelSource | null => {
  const source = rawType === null ? undefined : findKernelEvent(rawType)?.emittedBy[family];
  if (source === undefined || anomalies.includes('UNKNOWN_LAYOUT')) return null;
  switch (detail.kind) {
    case 'psci':
      return { ...source, since: PSCI_SINCE[detail.call] ?? source.since };
    case 'ghcbTermination':
      return at(SEV, MSR_PROTOCOL, '5.19');
    case 'ghcbNaeTermination':
      return at(SEV, 'sev_handle_vmgexit (SVM_VMGEXIT_TERM_REQUEST)', '6.11');
    case 'ghcbIllegalRequest':
      return SNP_ONLY_REQUESTS.has(detail.info) ? at(SEV, MSR_PROTOCOL, '6.11') : null;
    case 'tdx':
      return detail.layout === 'GPR16' ? source : null;
    default:
      return source;
  }
};

/** The flag bits are younger than the events; vendor kernels may have had them before. */
const PSCI_SINCE: Readonly<Partial<Record<string, string>>> = {
  SYSTEM_OFF2: '6.13',
  SYSTEM_RESET2: '5.18',
};
