import assert from "node:assert/strict";
import { ExitReason, Kvm, type Vcpu } from "../kvm/mod.ts";
import { MachineMemory } from "../memory/mod.ts";
import { Window } from "../os/mod.ts";
import { applyEntry } from "./apply_entry.ts";
import { bootBytes } from "./boot_file.ts";
import { fakeBzImage, fakeElf, MIB } from "./fake_machine.ts";
import { loadKernel } from "./load_kernel.ts";
import { kvmOpens } from "../kvm/testing.ts";

const window = Window.reserve(2 ** 40);
if (!kvmOpens) console.log("skipped: no /dev/kvm that this user may open");

/** Boots a "kernel" that writes words to port 0x500 until it halts; gives the words. */
function report(file: Uint8Array): number[] {
  using kvm = Kvm.open();
  using vm = kvm.createVm();
  vm.setTssAddress(0xfffbd000);
  vm.setIdentityMapAddress(0xfffbc000);
  using memory = MachineMemory.create(window, 32 * MIB);
  for (const [slot, { guestAddress, size, windowOffset }] of memory.regions.entries()) {
    vm.setMemoryRegion({ slot, guestAddress, size, userAddress: window.base + windowOffset });
  }
  using vcpu = vm.createVcpu(0, window);
  vcpu.setCpuid(kvm.supportedCpuid());
  applyEntry(vcpu, loadKernel(memory.guest, bootBytes(file, "kernel"), { cmdline: "hi" }));
  return words(vcpu);
}

function words(vcpu: Vcpu): number[] {
  const out: number[] = [];
  for (let i = 0; i < 10; i++) {
    assert.equal(vcpu.enter(), 0);
    if (vcpu.run.exitReason === ExitReason.Halt) return out;
    assert.equal(vcpu.run.exitReason, ExitReason.Io);
    out.push(vcpu.run.ioValue());
  }
  throw new Error("the guest does not end");
}

Deno.test({
  name: "a bzImage starts in long mode with RSI at the zero page",
  ignore: !kvmOpens,
  fn: () => {
    const code = new Uint8Array(0x1000);
    code.set([
      ...[0x66, 0xba, 0x00, 0x05], // mov dx, 0x500
      ...[0x8b, 0x86, 0x02, 0x02, 0x00, 0x00, 0xef], // mov eax, [rsi + 0x202]; out dx, eax
      ...[0x8b, 0x86, 0x28, 0x02, 0x00, 0x00], // mov eax, [rsi + 0x228]
      ...[0x8b, 0x00, 0xef], // mov eax, [rax]; out dx, eax
      ...[0x48, 0x31, 0xc0, 0x48, 0xff, 0xc8], // xor rax, rax; dec rax
      ...[0x48, 0xc1, 0xe8, 0x24, 0xef], // shr rax, 36; out dx, eax: 28 bits are left in long mode
      0xf4, // hlt
    ], 0x200);
    assert.deepEqual(report(fakeBzImage({}, code)), [0x53726448, 0x006968, 0xfff_ffff]);
  },
});

Deno.test({
  name: "a PVH kernel starts in protected mode with EBX at the start info",
  ignore: !kvmOpens,
  fn: () => {
    const file = fakeElf({ entry: 2 * MIB });
    file.set([
      ...[0x66, 0xba, 0x00, 0x05], // mov dx, 0x500
      ...[0x8b, 0x03, 0xef], // mov eax, [ebx]; out dx, eax
      ...[0x8b, 0x43, 0x18], // mov eax, [ebx + 24]
      ...[0x8b, 0x00, 0xef], // mov eax, [eax]; out dx, eax
      0xf4, // hlt
    ], file.length - 0x1_0000);
    assert.deepEqual(report(file), [0x336ec578, 0x006968]);
  },
});
