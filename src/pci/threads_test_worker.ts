/** A vCPU thread's part of threads_test.ts: builds the platform and does what it is told. */
import { SharedState } from "../bus/mod.ts";
import { Vm } from "../kvm/mod.ts";
import { buildPlatform } from "./platform.ts";
import { FakeVm } from "./testing.ts";

/** What a Web Worker's global object has that a main thread's has not. */
const thread = globalThis as unknown as { postMessage(message: string): void };

addEventListener("message", (event) => {
  const { buffer, description, vm, job, rounds, first } = (event as MessageEvent).data;
  const { ports, mmio } = buildPlatform(description, {
    state: new SharedState(buffer),
    vm: vm === undefined ? new FakeVm() : Vm.borrow(vm),
    events: { raise() {}, stopping: false },
  });
  if (job === "print") {
    for (let i = 0; i < rounds; i++) ports.write(0x3f8, 1, first + i % 100);
  } else {
    const bar = mmio.read(0xe000_8010, 4) - 4;
    for (let i = 0; i < rounds; i++) {
      mmio.write(bar + 0x4000 + 16 * (i % 3) + 12, 4, i >> 2 & 1);
      if (i % 64 === first) mmio.write(bar + 0x4000 + 16 * (i % 3) + 8, 4, i);
    }
  }
  thread.postMessage("done");
});
