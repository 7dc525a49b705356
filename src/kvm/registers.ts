import { array, bytes, struct, u16, u32, u64big, u8 } from "../codec/mod.ts";

/** struct kvm_regs. Registers are BigInts: kernel addresses lie beyond 2^53. */
export const Regs = struct({
  rax: u64big,
  rbx: u64big,
  rcx: u64big,
  rdx: u64big,
  rsi: u64big,
  rdi: u64big,
  rsp: u64big,
  rbp: u64big,
  r8: u64big,
  r9: u64big,
  r10: u64big,
  r11: u64big,
  r12: u64big,
  r13: u64big,
  r14: u64big,
  r15: u64big,
  rip: u64big,
  rflags: u64big,
});
export type Regs = ReturnType<typeof Regs.decode>;

/** struct kvm_segment: a segment register with its hidden part. */
export const Segment = struct({
  base: u64big,
  limit: u32,
  selector: u16,
  type: u8,
  present: u8,
  dpl: u8,
  db: u8,
  s: u8,
  l: u8,
  g: u8,
  avl: u8,
  unusable: u8,
  padding: u8,
});
export type Segment = ReturnType<typeof Segment.decode>;

/** struct kvm_dtable: GDTR or IDTR. */
export const DescriptorTable = struct({ base: u64big, limit: u16, padding: bytes(6) });
export type DescriptorTable = ReturnType<typeof DescriptorTable.decode>;

/** struct kvm_sregs. */
export const Sregs = struct({
  cs: Segment,
  ds: Segment,
  es: Segment,
  fs: Segment,
  gs: Segment,
  ss: Segment,
  tr: Segment,
  ldt: Segment,
  gdt: DescriptorTable,
  idt: DescriptorTable,
  cr0: u64big,
  cr2: u64big,
  cr3: u64big,
  cr4: u64big,
  cr8: u64big,
  efer: u64big,
  apicBase: u64big,
  interruptBitmap: array(u64big, 4),
});
export type Sregs = ReturnType<typeof Sregs.decode>;

/** struct kvm_fpu. */
export const Fpu = struct({
  registers: bytes(128),
  controlWord: u16,
  statusWord: u16,
  tagWord: u8,
  padding0: u8,
  lastOpcode: u16,
  lastInstruction: u64big,
  lastData: u64big,
  xmm: bytes(256),
  mxcsr: u32,
  padding1: u32,
});
export type Fpu = ReturnType<typeof Fpu.decode>;
