// Tests that need real KVM. One lab host for all of them, since booting it is slow.
import { badInputTests } from "./bad_input.ts";
import { bootTests } from "./boot.ts";
import { controlTests } from "./control.ts";
import { deviceVmTests } from "./device_vm.ts";
import { diskTests } from "./disk.ts";
import { hostileDeviceVmTests } from "./hostile_device_vm.ts";
import { Bench } from "./machine.ts";
import { singleFileTests } from "./single_file.ts";
import { systemdTests } from "./systemd.ts";
import { commandTests } from "./two_vms.ts";
import { wlTests } from "./wl.ts";
import { wlGuestTests } from "./wl_guest.ts";

Deno.test("in the lab", async (t) => {
  await using bench = await Bench.open();
  const groups = {
    "boot": bootTests,
    "disk": diskTests,
    "control": controlTests,
    "bad input": badInputTests,
    "systemd": systemdTests,
    "commands": commandTests,
    "wl": wlTests,
    "single file": singleFileTests,
    "wl guest": wlGuestTests,
    "device vm": deviceVmTests,
    "hostile device vm": hostileDeviceVmTests,
  };
  // `SPECTRUM_LAB_ONLY=disk,boot` runs two groups. These are run by hand, since CI has no more time:
  const byHand = ["hostile device vm"];
  const only = Deno.env.get("SPECTRUM_LAB_ONLY")?.split(",");
  for (const [name, group] of Object.entries(groups)) {
    if (only?.includes(name) ?? !byHand.includes(name)) await t.step(name, (t) => group(t, bench));
  }
});
