/**
 * A guest that is nothing but 64 KiB of firmware: no kernel, no disk, runs some 35 ms after QEMU starts
 * under TCG. For `-machine pc -cpu qemu64,apic=off -device pvpanic -device ib700 -bios FILE` with
 * COM1 on a chardev.
 *
 * It writes BOOT_BYTE on COM1 at each boot (WAKE_BYTE when it comes back from S3), sleeps, and takes
 * one-byte commands from COM1 (`GUEST_COMMANDS`). It powers off when its power button is pressed.
 */
export const FIRMWARE_BYTES = 64 * 1024;

/** Where the CPU starts: the last 16 bytes of the image. */
const RESET_VECTOR = 0xfff0;

/** Offset, bytes, and the instruction that they are (16-bit, Intel order); a label or a comment has no bytes. */
const LISTING = `
start:  ; real mode, F000:0000; a stack below 0x7c00
  000  fa                   cli
  001  31 c0                xor ax,ax
  003  8e d8                mov ds,ax
  005  8e d0                mov ss,ax
  007  bc 00 7c             mov sp,0x7c00
  ; IVT: IRQ 4 is vector 0x0c, IRQ 9 is vector 0x71
  00a  c7 06 30 00 3f 01    mov WORD PTR ds:0x30,0x13f
  010  c7 06 32 00 00 f0    mov WORD PTR ds:0x32,0xf000
  016  c7 06 c4 01 3f 01    mov WORD PTR ds:0x1c4,0x13f
  01c  c7 06 c6 01 00 f0    mov WORD PTR ds:0x1c6,0xf000
  ; both PICs: vectors 0x08 and 0x70, cascade on IRQ 2; only IRQ 2, 4 and 9 open
  022  b0 11                mov al,0x11
  024  e6 20                out 0x20,al
  026  e6 a0                out 0xa0,al
  028  b0 08                mov al,0x8
  02a  e6 21                out 0x21,al
  02c  b0 70                mov al,0x70
  02e  e6 a1                out 0xa1,al
  030  b0 04                mov al,0x4
  032  e6 21                out 0x21,al
  034  b0 02                mov al,0x2
  036  e6 a1                out 0xa1,al
  038  b0 01                mov al,0x1
  03a  e6 21                out 0x21,al
  03c  e6 a1                out 0xa1,al
  03e  b0 eb                mov al,0xeb
  040  e6 21                out 0x21,al
  042  b0 fd                mov al,0xfd
  044  e6 a1                out 0xa1,al
  ; PCI 00:01.3 (PIIX4 ACPI): PM ports at 0x600, switched on
  046  ba f8 0c             mov dx,0xcf8
  049  66 b8 40 0b 00 80    mov eax,0x80000b40
  04f  66 ef                out dx,eax
  051  ba fc 0c             mov dx,0xcfc
  054  66 b8 01 06 00 00    mov eax,0x601
  05a  66 ef                out dx,eax
  05c  ba f8 0c             mov dx,0xcf8
  05f  66 b8 80 0b 00 80    mov eax,0x80000b80
  065  66 ef                out dx,eax
  067  ba fc 0c             mov dx,0xcfc
  06a  b0 01                mov al,0x1
  06c  ee                   out dx,al
  ; COM1: OUT2 and the receive interrupt
  06d  ba fc 03             mov dx,0x3fc
  070  b0 0b                mov al,0xb
  072  ee                   out dx,al
  073  ba f9 03             mov dx,0x3f9
  076  b0 01                mov al,0x1
  078  ee                   out dx,al
  ; PM1 status: clear all of it; bit 15 says that we wake from S3
  079  ba 00 06             mov dx,0x600
  07c  ed                   in ax,dx
  07d  ef                   out dx,ax
  07e  89 c3                mov bx,ax
  ; the power button raises SCI (IRQ 9), ACPI mode on
  080  ba 02 06             mov dx,0x602
  083  b8 00 01             mov ax,0x100
  086  ef                   out dx,ax
  087  ba 04 06             mov dx,0x604
  08a  b8 01 00             mov ax,0x1
  08d  ef                   out dx,ax
  08e  b0 42                mov al,0x42
  090  f6 c7 80             test bh,0x80
  093  74 02                je tell
  095  b0 57                mov al,0x57
tell:  ; COM1: say the byte of this boot
  097  ba f8 03             mov dx,0x3f8
  09a  ee                   out dx,al
  09b  31 db                xor bx,bx
idle:  ; a pressed power button is a guest that powers off, unless told to ignore it
  09d  fa                   cli
  09e  ba 00 06             mov dx,0x600
  0a1  ed                   in ax,dx
  0a2  f6 c4 01             test ah,0x1
  0a5  74 08                je serial
  0a7  b8 00 01             mov ax,0x100
  0aa  ef                   out dx,ax
  0ab  84 db                test bl,bl
  0ad  74 4b                je poweroff
serial:  ; a byte on COM1? else sleep until IRQ 4 or 9; sti holds interrupts off until hlt runs
  0af  ba fd 03             mov dx,0x3fd
  0b2  ec                   in al,dx
  0b3  a8 01                test al,0x1
  0b5  75 04                jne take
  0b7  fb                   sti
  0b8  f4                   hlt
  0b9  eb e2                jmp idle
take:  ; one command a byte; any other byte is answered with itself
  0bb  ba f8 03             mov dx,0x3f8
  0be  ec                   in al,dx
  0bf  3c 70                cmp al,0x70
  0c1  74 1f                je panic
  0c3  3c 63                cmp al,0x63
  0c5  74 23                je crashloaded
  0c7  3c 72                cmp al,0x72
  0c9  74 27                je reset
  0cb  3c 6f                cmp al,0x6f
  0cd  74 2b                je poweroff
  0cf  3c 73                cmp al,0x73
  0d1  74 30                je suspend
  0d3  3c 77                cmp al,0x77
  0d5  74 35                je watchdog
  0d7  3c 69                cmp al,0x69
  0d9  74 39                je ignore
  0db  3c 64                cmp al,0x64
  0dd  74 39                je disk
  0df  ee                   out dx,al
  0e0  eb bb                jmp idle
panic:  ; pvpanic, PVPANIC_PANICKED
  0e2  ba 05 05             mov dx,0x505
  0e5  b0 01                mov al,0x1
  0e7  ee                   out dx,al
  0e8  eb b3                jmp idle
crashloaded:  ; pvpanic, PVPANIC_CRASHLOADED
  0ea  ba 05 05             mov dx,0x505
  0ed  b0 02                mov al,0x2
  0ef  ee                   out dx,al
  0f0  eb ab                jmp idle
reset:  ; PIIX3 reset control: hard reset
  0f2  ba f9 0c             mov dx,0xcf9
  0f5  b0 06                mov al,0x6
  0f7  ee                   out dx,al
  0f8  eb a3                jmp idle
poweroff:  ; PM1a_CNT: SLP_EN, type 0 = S5
  0fa  ba 04 06             mov dx,0x604
  0fd  b8 00 20             mov ax,0x2000
  100  ef                   out dx,ax
  101  eb 9a                jmp idle
suspend:  ; PM1a_CNT: SLP_EN, type 1 = S3
  103  ba 04 06             mov dx,0x604
  106  b8 00 24             mov ax,0x2400
  109  ef                   out dx,ax
  10a  eb 91                jmp idle
watchdog:  ; ib700: runs out at once (0 s)
  10c  ba 43 04             mov dx,0x443
  10f  b0 0f                mov al,0xf
  111  ee                   out dx,al
  112  eb 89                jmp idle
ignore:  ; from here on the power button is ignored
  114  b3 01                mov bl,0x1
  116  eb 85                jmp idle
disk:  ; IDE: write one sector at LBA 0 by PIO; what is written is chance
  118  ba f2 01             mov dx,0x1f2
  11b  b0 01                mov al,0x1
  11d  ee                   out dx,al
  11e  42                   inc dx
  11f  30 c0                xor al,al
  121  ee                   out dx,al
  122  42                   inc dx
  123  ee                   out dx,al
  124  42                   inc dx
  125  ee                   out dx,al
  126  42                   inc dx
  127  b0 e0                mov al,0xe0
  129  ee                   out dx,al
  12a  42                   inc dx
  12b  b0 30                mov al,0x30
  12d  ee                   out dx,al
drq:  ; until the drive asks for data
  12e  ec                   in al,dx
  12f  a8 08                test al,0x8
  131  74 fb                je drq
  133  ba f0 01             mov dx,0x1f0
  136  b9 00 01             mov cx,0x100
word:  ; 256 words
  139  ef                   out dx,ax
  13a  e2 fd                loop word
  13c  e9 5e ff             jmp idle
isr:  ; IRQ 4 and 9: end of interrupt at both PICs, the work is done in idle
  13f  50                   push ax
  140  b0 20                mov al,0x20
  142  e6 a0                out 0xa0,al
  144  e6 20                out 0x20,al
  146  58                   pop ax
  147  cf                   iret
`;

/** jmp 0xf000:0x0000, the start of the image as it is seen below 1 MiB. */
const RESET_JUMP = [0xea, 0x00, 0x00, 0x00, 0xf0];

const LINE = /^ {2}(?<offset>[0-9a-f]{3}) {2}(?<bytes>(?:[0-9a-f]{2} )+)/;

/** Behind the boot byte: jmp panic, in place of xor bx,bx. */
const PANIC_AT_BOOT = { offset: 0x09b, bytes: [0xeb, 0x45] };

/** The image, to be written to a file for `-bios`; one that panics right after each boot, if asked for. */
export const firmwareImage = (panicsAtBoot = false): Uint8Array => {
  const image = new Uint8Array(FIRMWARE_BYTES).fill(0xff);
  for (const line of LISTING.split('\n')) {
    const groups = LINE.exec(line)?.groups;
    if (groups === undefined) continue;
    const bytes = (groups['bytes'] ?? '').trim().split(' ');
    image.set(
      bytes.map((byte) => Number.parseInt(byte, 16)),
      Number.parseInt(groups['offset'] ?? '', 16),
    );
  }
  image.set(RESET_JUMP, RESET_VECTOR);
  if (panicsAtBoot) image.set(PANIC_AT_BOOT.bytes, PANIC_AT_BOOT.offset);
  return image;
};
