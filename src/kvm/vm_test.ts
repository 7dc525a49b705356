import assert from "node:assert/strict";
import {
  EventFd,
  installKickSignal,
  kickThread,
  leakedDescriptors,
  OsError,
  trackDescriptors,
  Window,
} from "../os/mod.ts";
import { Capability } from "./capability.ts";
import { vcpuCpuid } from "./cpuid.ts";
import { ExitReason } from "./exit_reason.ts";
import { code32, flatData, taskSegment } from "./flat_segments.ts";
import { defaultGsiRoutes, IOAPIC_PINS } from "./gsi_route.ts";
import { HostError } from "./host_error.ts";
import { Kvm } from "./kvm.ts";
import { probeKvm, REAL_ITERATIONS_PER_SECOND, requireRealKvm } from "./probe.ts";
import { resetVcpu } from "./reset_state.ts";
import { MpState } from "./structures.ts";
import type { Vcpu } from "./vcpu.ts";
import type { Report, Start } from "./vcpu_thread_fixture.ts";
import type { Vm } from "./vm.ts";
import { kvmOpens } from "./testing.ts";

const window = Window.reserve(2 ** 40);
if (!kvmOpens) console.log("skipped: no /dev/kvm that this user may open");

/** A test that needs KVM; descriptors that it leaves open fail it. */
function kvmTest(name: string, body: (kvm: Kvm) => void | Promise<void>): void {
  Deno.test({
    name,
    ignore: !kvmOpens,
    fn: async () => {
      trackDescriptors();
      {
        using kvm = Kvm.open();
        await body(kvm);
      }
      assert.deepEqual(leakedDescriptors(), []);
    },
  });
}

const CODE_ADDRESS = 0x1000;
const DOORBELL = 0xc000_0000;

/** Runs 32-bit code at 0x1000 in flat protected mode. */
function guest(vm: Vm, code: number[]): Vcpu & Disposable {
  const page = window.allocate(4096);
  window.mapAnonymous(page, 4096);
  window.bytes(page, code.length).set(code);
  vm.setMemoryRegion({
    slot: 0,
    guestAddress: CODE_ADDRESS,
    size: 4096,
    userAddress: window.base + page,
  });
  const vcpu = vm.createVcpu(0, window);
  const data = flatData(0x10);
  const segments = { cs: code32(8), ds: data, es: data, fs: data, gs: data, ss: data };
  vcpu.setSregs({ ...vcpu.getSregs(), ...segments, tr: taskSegment(), cr0: 0x11n });
  vcpu.setRegs({ rip: BigInt(CODE_ADDRESS), rflags: 2n, rax: 0x12345678n });
  return vcpu;
}

kvmTest("a guest's port and memory accesses come out of KVM_RUN and are answered", (kvm) => {
  using vm = kvm.createVm();
  using vcpu = guest(vm, [
    ...[0x66, 0xba, 0xf8, 0x03], // mov dx, 0x3f8
    ...[0xb0, 0x41, 0xee], // mov al, 'A'; out dx, al
    ...[0xec, 0xee], // in al, dx; out dx, al
    ...[0xa1, 0x08, 0x00, 0x00, 0xc0], // mov eax, [0xc0000008]
    ...[0xa3, 0x00, 0x00, 0x00, 0xc0], // mov [0xc0000000], eax
    0xf4, // hlt
  ]);
  const { run } = vcpu;
  const next = (reason: number) => {
    assert.equal(vcpu.enter(), 0);
    assert.equal(run.exitReason, reason);
  };
  next(ExitReason.Io);
  assert.deepEqual(
    [run.ioIsWrite, run.ioPort, run.ioSize, run.ioCount, run.ioValue()],
    [true, 0x3f8, 1, 1, 0x41],
  );
  next(ExitReason.Io);
  assert.equal(run.ioIsWrite, false);
  run.setIoValue(0x42);
  next(ExitReason.Io);
  assert.deepEqual([run.ioIsWrite, run.ioValue()], [true, 0x42]);
  next(ExitReason.Mmio);
  assert.deepEqual([run.mmioIsWrite, run.mmioAddress, run.mmioSize], [false, DOORBELL + 8, 4]);
  run.setMmioValue(0xcafe0001, 4);
  next(ExitReason.Mmio);
  assert.deepEqual([run.mmioIsWrite, run.mmioAddress, run.mmioValue(4)], [
    true,
    DOORBELL,
    0xcafe0001,
  ]);
  next(ExitReason.Halt);
  run.immediateExit = true;
  assert.equal(vcpu.enter(), -4, "EINTR");
});

kvmTest("a guest that rings an ioeventfd does not stop", (kvm) => {
  using vm = kvm.createVm();
  using event = EventFd.create();
  using other = EventFd.create();
  vm.ioeventfd({ address: DOORBELL, length: 4, datamatch: 0x12345678 }, event.fd, true);
  vm.ioeventfd({ address: DOORBELL, length: 4, datamatch: 7 }, other.fd, true);
  using vcpu = guest(vm, [
    ...[0xa3, 0x00, 0x00, 0x00, 0xc0], // mov [0xc0000000], eax
    ...[0xa3, 0x00, 0x00, 0x00, 0xc0],
    0xf4,
  ]);
  assert.equal(vcpu.enter(), 0);
  assert.equal(vcpu.run.exitReason, ExitReason.Halt);
  assert.equal(event.drain(), 2);
  assert.equal(other.drain(), 0);
  vm.ioeventfd({ address: DOORBELL, length: 4, datamatch: 7 }, other.fd, false);
  assert.throws(
    () => vm.ioeventfd({ address: DOORBELL, length: 4, datamatch: 7 }, other.fd, false),
    (error) => error instanceof OsError && error.code === "ENOENT",
  );
});

kvmTest("an event raises an MSI in the local APIC while its irqfd is attached", async (kvm) => {
  using vm = kvm.createVm();
  vm.setTssAddress(0xfffbd000);
  vm.setIdentityMapAddress(0xfffbc000);
  vm.createIrqchip();
  vm.createPit();
  using vcpu = vm.createVcpu(0, window);
  const vector = 0x31;
  const lapic = vcpu.getLapic();
  lapic[0xf1] |= 1; // Spurious interrupt vector register: APIC enabled.
  vcpu.setLapic(lapic);
  const pending = async () => {
    const at = 0x200 + (vector >> 5) * 0x10 + (vector >> 3 & 3);
    for (let i = 0; i < 50 && !(vcpu.getLapic()[at] & 1 << (vector & 7)); i++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return (vcpu.getLapic()[at] & 1 << (vector & 7)) !== 0;
  };
  const gsi = IOAPIC_PINS;
  vm.setGsiRouting([
    ...defaultGsiRoutes(),
    { gsi, kind: "msi", address: 0xfee00000, addressHigh: 0, data: vector },
  ]);
  using event = EventFd.create();
  vm.irqfd(event.fd, gsi, true);
  vm.irqfd(event.fd, gsi, false);
  event.signal();
  assert.equal(await pending(), false, "detached");
  event.drain();
  vm.irqfd(event.fd, gsi, true);
  event.signal();
  assert.equal(await pending(), true, "attached");
  vm.irqLine(4, 1);
  vm.irqLine(4, 0);
});

kvmTest("vCPUs are reset as firmware would, secondary ones wait for SIPI", (kvm) => {
  using vm = kvm.createVm();
  vm.setTssAddress(0xfffbd000);
  vm.setIdentityMapAddress(0xfffbc000);
  vm.createIrqchip();
  const supported = kvm.supportedCpuid();
  const msrIndices = kvm.msrIndices();
  const tscDeadline = kvm.checkExtension(Capability.TscDeadlineTimer) > 0;
  for (let id = 0; id < 2; id++) {
    using vcpu = vm.createVcpu(id, window);
    const cpuid = vcpuCpuid(supported, { id, cpus: 2, tscDeadline });
    assert.deepEqual(resetVcpu(vcpu, { cpuid, msrIndices }), []);
    assert.equal(vcpu.getMpState(), id === 0 ? MpState.Runnable : MpState.Uninitialized);
    assert.deepEqual(vcpu.getMsrs([0x2ff]), [{ index: 0x2ff, data: 0x806n }]);
    const leaf1 = vcpu.getCpuid().find((e) => e.leaf === 1);
    assert.equal((leaf1?.ebx ?? 0) >>> 24, id);
  }
  assert.throws(
    () => vm.createVcpu(0, window),
    (error) => error instanceof OsError && /Cannot create vCPU 0/.test(error.message),
  );
});

kvmTest("another thread runs a borrowed vCPU and is kicked out of it", async (kvm) => {
  using vm = kvm.createVm();
  vm.setTssAddress(0xfffbd000);
  vm.setIdentityMapAddress(0xfffbc000);
  vm.createIrqchip();
  using vcpu = vm.createVcpu(0, window);
  using waiting = vm.createVcpu(1, window);
  waiting.setMpState(MpState.Uninitialized);
  installKickSignal();
  const worker = new Worker(new URL("./vcpu_thread_fixture.ts", import.meta.url), {
    type: "module",
  });
  try {
    const reports: Report[] = [];
    const report = () =>
      new Promise<Report>((resolve) => {
        worker.onmessage = ({ data }: MessageEvent<Report>) => {
          reports.push(data);
          resolve(data);
        };
      });
    const first = report();
    const start: Start = { vcpu: waiting.share(), window: window.token };
    worker.postMessage(start);
    const hello = await first;
    assert.ok("thread" in hello);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(reports.length, 1, "it waits for SIPI inside KVM_RUN");
    const second = report();
    // As a machine does it: the flag first, so that a kick before KVM_RUN is not lost.
    waiting.run.immediateExit = true;
    kickThread(hello.thread);
    const end = await second;
    assert.ok("result" in end);
    assert.equal(end.result, -4, "EINTR");
  } finally {
    worker.terminate();
  }
  assert.equal(vcpu.id, 0);
});

kvmTest("the probe tells a real KVM from one that interprets", (kvm) => {
  const probe = probeKvm(kvm, window);
  assert.ok(probe.iterationsPerSecond > 1e4);
  assert.equal(probe.real, probe.iterationsPerSecond >= REAL_ITERATIONS_PER_SECOND);
  // Hardware that this kernel drives has one of these modules; PVM has neither.
  const hardware = ["kvm_amd", "kvm_intel"].some((name) => exists(`/sys/module/${name}`));
  const pvm = exists("/sys/module/kvm_pvm");
  if (hardware || pvm) assert.equal(probe.real, hardware && !pvm);
  if (!probe.real) {
    assert.throws(
      () => requireRealKvm(kvm, window),
      (error) =>
        error instanceof HostError && error.reason === "emulated" &&
        /million iterations a second/.test(error.message),
    );
  }
});

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

kvmTest("more vCPUs than KVM allows are refused by name", (kvm) => {
  kvm.requireVcpus(kvm.maxVcpus);
  assert.throws(
    () => kvm.requireVcpus(kvm.maxVcpus + 1),
    (error) => error instanceof HostError && error.reason === "too-many-vcpus",
  );
});

Deno.test("a device that is missing, closed to us or no KVM is named with what to do", () => {
  const refused = (path: string) => {
    try {
      Kvm.open(path)[Symbol.dispose]();
    } catch (error) {
      assert.ok(error instanceof HostError, String(error));
      return { reason: error.reason, message: error.message };
    }
    throw new Error("opened");
  };
  const missing = refused("/dev/no-such-kvm");
  assert.equal(missing.reason, "no-device");
  assert.match(missing.message, /no such device.*modprobe/);
  assert.equal(refused("/dev/null").reason, "not-kvm");
});
