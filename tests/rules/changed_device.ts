// A worker as it is, but for its policy.

import "./changed_policy.ts";
// deno-lint-ignore spectrum/downward-imports -- a program, whose policy was to change before it runs
import "../../src/devices/main.ts";
