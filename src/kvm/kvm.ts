import { type Fd, ioctl, ioctlFd, openFile, OsError, type Owned } from "../os/mod.ts";
import { Capability, REQUIRED } from "./capability.ts";
import { HostError } from "./host_error.ts";
import { decodeList, encodeList } from "./lists.ts";
import { perform } from "./perform.ts";
import { SystemRequest } from "./requests.ts";
import { CpuidEntry } from "./structures.ts";
import { Vm } from "./vm.ts";

/** KVM_API_VERSION, unchanged since Linux 2.6.22. */
const API_VERSION = 12;
const MAX_CPUID_ENTRIES = 256;
const MAX_MSRS = 4096;
const EINTR = 4;

/** The KVM of this host. */
export class Kvm implements Disposable {
  private constructor(readonly fd: Owned<Fd>, readonly path: string) {}

  /**
   * Opens KVM and checks that it has all that a machine needs.
   *
   * @throws HostError
   */
  static open(path = "/dev/kvm"): Kvm {
    const kvm = new Kvm(openDevice(path), path);
    try {
      kvm.#checkApi();
      return kvm;
    } catch (error) {
      kvm[Symbol.dispose]();
      throw error;
    }
  }

  #checkApi(): void {
    let version: number;
    try {
      version = ioctl(this.fd, SystemRequest.GetApiVersion);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      throw new HostError("not-kvm", `${this.path} is not KVM: it does not tell an API version.`, {
        cause: error,
      });
    }
    if (version !== API_VERSION) {
      throw new HostError(
        "not-kvm",
        `${this.path} speaks KVM API version ${version}; ${API_VERSION} is needed.`,
      );
    }
    const missing = REQUIRED.filter(([, number]) => this.checkExtension(number) === 0);
    if (missing.length > 0) {
      throw new HostError(
        "old-kernel",
        `The KVM of this kernel lacks ${missing.map(([name]) => name).join(", ")}. ` +
          "Use Linux 4.12 or newer on an x86-64 host.",
      );
    }
  }

  /** KVM_CHECK_EXTENSION: 0 when missing, otherwise 1 or a number. */
  checkExtension(capability: number): number {
    return perform(this.fd, SystemRequest.CheckExtension, capability, "ask", this.path);
  }

  /** vCPUs in one VM. */
  get maxVcpus(): number {
    return this.checkExtension(Capability.MaxVcpus);
  }

  /** Throws HostError when a VM of this host cannot have so many vCPUs. */
  requireVcpus(count: number): void {
    const { maxVcpus } = this;
    if (count <= maxVcpus) return;
    throw new HostError(
      "too-many-vcpus",
      `The KVM of this host allows ${maxVcpus} vCPUs in a VM, ${count} are wanted. Lower "cpus".`,
    );
  }

  /** Bytes of a vCPU's kvm_run and what follows it. */
  get vcpuMmapSize(): number {
    return perform(this.fd, SystemRequest.GetVcpuMmapSize, 0, "ask", this.path);
  }

  /** KVM_GET_SUPPORTED_CPUID. */
  supportedCpuid(): CpuidEntry[] {
    const data = encodeList(CpuidEntry, new Array(MAX_CPUID_ENTRIES).fill({}));
    perform(this.fd, SystemRequest.GetSupportedCpuid, data, "read the CPUID of", this.path);
    return decodeList(CpuidEntry, data);
  }

  /** KVM_GET_MSR_INDEX_LIST: MSRs that KVM keeps for a guest. */
  msrIndices(): number[] {
    const data = new Uint32Array(1 + MAX_MSRS);
    data[0] = MAX_MSRS;
    const bytes = new Uint8Array(data.buffer);
    perform(this.fd, SystemRequest.GetMsrIndexList, bytes, "list the MSRs of", this.path);
    return [...data.subarray(1, 1 + data[0])];
  }

  /** A new VM without memory or vCPUs. Throws HostError when another hypervisor has the processor. */
  createVm(): Vm {
    for (;;) {
      try {
        return Vm.own(ioctlFd(this.fd, SystemRequest.CreateVm), this.vcpuMmapSize);
      } catch (error) {
        if (!(error instanceof OsError)) throw error;
        if (error.errno === EINTR) continue;
        if (error.code === "EBUSY") {
          throw new HostError(
            "busy",
            "Cannot create a VM: another hypervisor uses the processor's virtualization. Stop it.",
            { cause: error },
          );
        }
        throw new OsError("create", "a VM", error.errno);
      }
    }
  }

  [Symbol.dispose](): void {
    this.fd[Symbol.dispose]();
  }
}

function openDevice(path: string): Owned<Fd> {
  try {
    return openFile(path, { write: true });
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    const cause = { cause: error };
    switch (error.code) {
      case "ENOENT":
      case "ENODEV":
      case "ENXIO":
        throw new HostError(
          "no-device",
          `Cannot open ${path}: there is no such device. Load the module kvm_amd or kvm_intel ` +
            "(as root: modprobe kvm_amd), switch virtualization (AMD-V, VT-x) on in the firmware, " +
            "or, in a virtual machine, let its host offer nested virtualization.",
          cause,
        );
      case "EACCES":
      case "EPERM":
        throw new HostError(
          "no-permission",
          `Cannot open ${path}: permission denied. Add yourself to the "kvm" group ` +
            "(sudo usermod -aG kvm $USER) and log in again.",
          cause,
        );
      default:
        throw error;
    }
  }
}
