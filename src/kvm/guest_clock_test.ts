import assert from "node:assert/strict";
import { Window } from "../os/mod.ts";
import { GuestClock, tscKhz } from "./guest_clock.ts";
import { Kvm } from "./kvm.ts";
import { kvmOpens } from "./testing.ts";

Deno.test({
  name: "clocks that are set show what they showed, of all vCPUs alike, and go on from there",
  ignore: !kvmOpens,
  fn: async () => {
    const window = Window.reserve(2 ** 30);
    using kvm = Kvm.open();
    using vm = kvm.createVm();
    vm.createIrqchip();
    using first = vm.createVcpu(0, window);
    using second = vm.createVcpu(1, window);
    assert.ok(tscKhz(first) > 100_000, `${tscKhz(first)} kHz`);
    const clock = new GuestClock(window, vm, [first, second]);

    const before = clock.read();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const later = clock.read();
    assert.ok(later.clock > before.clock && later.tsc[0] > before.tsc[0], "they run");
    clock.set(before);
    const after = clock.read();
    // A KVM that only emulates shows the host's counter, whatever is set.
    first.setMsrs([{ index: 0x10, data: 1000n }]);
    const keeps = clock.read().tsc[0] < before.tsc[0];
    if (!keeps) console.log("the counters are left out: this KVM does not set them");
    for (const vcpu of keeps ? [0, 1] : []) {
      const passed = later.tsc[vcpu] - before.tsc[vcpu];
      const back = after.tsc[vcpu] - before.tsc[vcpu];
      assert.ok(back >= 0n && back < passed / 2n, `vCPU ${vcpu}: ${back} of ${passed} cycles`);
    }
    const back = after.clock - before.clock;
    assert.ok(back >= 0n && back < (later.clock - before.clock) / 2n, `${back} ns`);
    const { tscOffsets } = after;
    if (tscOffsets !== undefined) assert.equal(tscOffsets[0], tscOffsets[1]);
  },
});
