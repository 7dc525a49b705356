import type { VmControl } from "../machine/mod.ts";

/** A VM as the control API uses it; not every one can be saved. */
export type ControlledVm = Omit<VmControl, "snapshot"> & Partial<Pick<VmControl, "snapshot">>;
