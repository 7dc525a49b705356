// What connects a machine to its host and to other machines, and what confines it.
import { confinedTests } from "./confined.ts";
import { deviceVmTests } from "./device_vm.ts";
import { escapeTests } from "./escape/mod.ts";
import { hostileDeviceVmTests } from "./hostile_device_vm.ts";
import { execTests } from "./exec.ts";
import { lane } from "./lane.ts";
import { netTests, providedNetTests, tapTests } from "./net/mod.ts";
import { vsockTests } from "./vsock.ts";
import { vsockVmTests } from "./vsock_vm.ts";
import { wlTests } from "./wl.ts";
import { wlGuestTests } from "./wl_guest.ts";

lane("devices in the lab", {
  "wl": wlTests,
  "wl guest": wlGuestTests,
  "vsock": vsockTests,
  "device vm": deviceVmTests,
  "escape": escapeTests,
  "confined": confinedTests,
  "exec": execTests,
  "net": netTests,
}, {
  "net tap": tapTests,
  "net vm": providedNetTests,
  "vsock vm": vsockVmTests,
  "hostile device vm": hostileDeviceVmTests,
});
