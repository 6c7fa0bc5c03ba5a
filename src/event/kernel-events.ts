import type { ArchFamily } from './arch.js';
import type { EventType } from './event-type.js';

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
      arm64: at('arch/arm64/kvm/psci.c', 'kvm_prepare_system_event', '3.16'),
      riscv: { ...SBI_RESET, since: '5.16' },
    },
  },
  {
    number: 2,
    type: 'RESET',
    meaning: 'the guest asks to be reset',
    emittedBy: {
      arm: ARM_PSCI,
      arm64: at('arch/arm64/kvm/psci.c', 'kvm_prepare_system_event', '3.16'),
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
    emittedBy: { x86: at('arch/x86/kvm/svm/sev.c', 'sev_handle_vmgexit_msr_protocol', '5.19') },
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
