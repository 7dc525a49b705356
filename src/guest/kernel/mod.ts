// Guest kernels: fetched from Debian without touching the host, kept in the cache folder.
export { debianKernel, debianKernels, type GuestKernel, kernelsDir } from "./debian_kernel.ts";
export { extractVmlinux } from "./extract_vmlinux.ts";
export { fetchDebianKernel } from "./fetch_debian_kernel.ts";
export { KernelFetchError } from "./kernel_fetch_error.ts";
