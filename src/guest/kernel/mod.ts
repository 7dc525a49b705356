// Guest kernels: Debian's fetched without touching the host, small ones built from source, kept in the cache folder.
export { buildDebianModule, type ModuleBuildOptions } from "./build_debian_module.ts";
export { buildKernel, currentKernel, type KernelBuildOptions } from "./build_kernel.ts";
export { debianKernel, debianKernels, type GuestKernel, kernelsDir } from "./debian_kernel.ts";
export { guestDrivers } from "./drivers.ts";
export { extractVmlinux } from "./extract_vmlinux.ts";
export { fetchDebianKernel } from "./fetch_debian_kernel.ts";
export { type GuestDriver } from "./guest_driver.ts";
export { type HardeningChoice, hardeningFor, hardeningTable } from "./hardening.ts";
export { KernelBuildError } from "./kernel_build_error.ts";
export { type KernelConfig, lostOptions, parseKernelConfig } from "./kernel_config.ts";
export { type ListedKernel, listKernels } from "./list_kernels.ts";
export { isProfile, type Profile, profiles } from "./profiles.ts";
export { KernelNameError, type ResolvedKernel, resolveKernel } from "./resolve_kernel.ts";
export { type SmallKernel, smallKernel, smallKernels } from "./small_kernel.ts";
export { buildUserModeKernel } from "./user_mode_kernel.ts";
