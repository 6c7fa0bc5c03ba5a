/**
 * Records that unmodified Debian kernels wrote into struct kvm_run, reported beside the live guests, with what they
 * mean. Bytes `aa` are what stood there before: the kernel never wrote them.
 */
export const CAPTURES = [
  {
    vm: 'arm-old',
    arch: 'arm64',
    capability: 0,
    from: 'Linux 5.10 arm64, PSCI SYSTEM_RESET',
    hex: '02000000000000000000000000000000aaaaaaaaaaaaaaaa',
    expect: {
      type: 'RESET',
      data: ['0x0'],
      detail: { psci: 'SYSTEM_RESET' },
      anomalies: ['LEGACY_FLAGS'],
    },
  },
  {
    vm: 'arm-new',
    arch: 'arm64',
    capability: 1,
    from: 'Linux 6.1 arm64, PSCI SYSTEM_RESET2',
    hex: '02000000010000000100000000000000',
    expect: { type: 'RESET', data: ['0x1'], detail: { psci: 'SYSTEM_RESET2' }, anomalies: [] },
  },
  {
    vm: 'riscv',
    arch: 'riscv64',
    capability: 1,
    from: 'Linux 6.12 riscv64, SBI reboot after a failure',
    hex: '02000000010000000100000000000000',
    expect: {
      type: 'RESET',
      data: ['0x1'],
      detail: { sbiResetReason: 'SYSTEM_FAILURE' },
      anomalies: [],
    },
  },
  {
    vm: 'windows-old',
    arch: 'x86_64',
    capability: 0,
    from: 'Linux 5.10 x86_64, Hyper-V crash',
    hex: '03000000010000000010000000000000aaaaaaaaaaaaaaaa',
    expect: {
      type: 'CRASH',
      data: [],
      detail: { origin: 'HYPERV_CRASH_MSR' },
      anomalies: ['STALE_IGNORED'],
    },
  },
] as const;

export type Capture = (typeof CAPTURES)[number];
