import { virtioWlDriver } from "../virtio_wl/driver.ts";
import type { GuestDriver } from "./guest_driver.ts";

/**
 * The drivers that are built into our kernels. Their text is part of the program, so that `dist/spectrum` can build
 * kernels without the working tree: a driver's folder has a file that exports it with its files imported as text.
 */
export const guestDrivers: readonly GuestDriver[] = [virtioWlDriver];
