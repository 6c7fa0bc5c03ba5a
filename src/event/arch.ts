/** Architectures whose KVM writes this record in one way. `other`: none that is known to write it. */
export type ArchFamily = 'arm' | 'arm64' | 'riscv' | 'x86' | 'other';

export type ByteOrder = 'little' | 'big';

export interface Arch {
  /** The spelling of the table below; one architecture may have several. */
  readonly name: string;
  readonly family: ArchFamily;
  /** What such a host usually runs in; null: not known here. */
  readonly byteOrder: ByteOrder | null;
}

/** Names as `uname -m`, the kernel's tree, QEMU, Go and Rust spell them. */
const NAMES: readonly (readonly [ArchFamily, ByteOrder, string])[] = [
  ['x86', 'little', 'x86_64 amd64 x64 x86 i386 i486 i586 i686 ia32 386'],
  ['arm64', 'little', 'arm64 aarch64 arm64_le aarch64_le arm64e'],
  ['arm64', 'big', 'arm64_be aarch64_be arm64be aarch64be'],
  ['arm', 'little', 'arm armel armhf armv6l armv7l armv7 armv7a armv8l'],
  ['arm', 'big', 'armeb arm_be armv6b armv7b armv8b'],
  ['riscv', 'little', 'riscv64 riscv32 riscv rv64 rv32 riscv64gc riscv32gc'],
  ['other', 'big', 's390x s390 ppc ppc64 powerpc powerpc64 mips mips64 sparc sparc64'],
  ['other', 'big', 'hppa parisc parisc64 m68k or1k'],
  ['other', 'little', 'ppcle ppc64le ppc64el powerpc64le mipsel mipsle mips64el mips64le'],
  ['other', 'little', 'loongarch loongarch32 loongarch64 loong64 ia64 alpha'],
];

const ARCHES: ReadonlyMap<string, Arch> = new Map(
  NAMES.flatMap(([family, byteOrder, names]) =>
    names.split(' ').map((name): [string, Arch] => [name, { name, family, byteOrder }]),
  ),
);

/** Longer names are nobody's. */
const MAX_NAME_LENGTH = 32;

/** The architecture of that name, in any case and with `-` for `_`; undefined: a name nobody knows. */
export const findArch = (name: string): Arch | undefined => {
  const exact = ARCHES.get(name);
  if (exact !== undefined || name.length > MAX_NAME_LENGTH) return exact;
  return ARCHES.get(name.trim().toLowerCase().replaceAll('-', '_'));
};
