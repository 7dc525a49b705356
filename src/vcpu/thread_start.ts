import type { SharedVcpu } from "../kvm/mod.ts";
import type { PlatformDescription } from "../pci/mod.ts";
import type { Payload, SharedFd, WindowToken } from "../os/mod.ts";

/** All that a vCPU's thread is told, once: plain data and tokens of this process. */
export interface ThreadStart {
  readonly payload: Payload;
  readonly state: SharedArrayBuffer;
  readonly window: WindowToken;
  readonly vm: SharedFd;
  readonly vcpu: SharedVcpu;
  /** Offset of the vCPU's {@linkcode VcpuControl} in the state. */
  readonly control: number;
  readonly platform: PlatformDescription;
  /** The system calls that it may make once it runs its vCPU, as a filter. */
  readonly filter?: Uint8Array<ArrayBuffer>;
  /** Signalled when the thread parks and when it ends. */
  readonly attention: SharedFd;
}
