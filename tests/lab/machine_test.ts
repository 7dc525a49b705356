// One machine and those who command it.
import { badInputTests } from "./bad_input.ts";
import { bootTests } from "./boot.ts";
import { controlTests } from "./control.ts";
import { diskTests } from "./disk.ts";
import { lane } from "./lane.ts";
import { limitTests } from "./limits.ts";
import { singleFileTests } from "./single_file.ts";
import { systemdTests } from "./systemd.ts";
import { commandTests } from "./two_vms.ts";

lane("machines in the lab", {
  "boot": bootTests,
  "disk": diskTests,
  "control": controlTests,
  "bad input": badInputTests,
  "systemd": systemdTests,
  "commands": commandTests,
  "single file": singleFileTests,
}, {
  "limits": limitTests,
});
