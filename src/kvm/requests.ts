/** Numbers of KVM's device requests, Linux include/uapi/linux/kvm.h. */

const KVM = 0xae;
const WRITE = 1;
const READ = 2;

function request(direction: number, number: number, size: number): number {
  return (direction << 30 | size << 16 | KVM << 8 | number) >>> 0;
}
/** _IO, _IOW (we pass a structure), _IOR (we receive one), _IOWR. */
const plain = (number: number) => request(0, number, 0);
const passes = (number: number, size: number) => request(WRITE, number, size);
const receives = (number: number, size: number) => request(READ, number, size);
const exchanges = (number: number, size: number) => request(READ | WRITE, number, size);

/** Requests on /dev/kvm. */
export const SystemRequest = {
  /** KVM_GET_API_VERSION */ GetApiVersion: plain(0x00),
  /** KVM_CREATE_VM */ CreateVm: plain(0x01),
  /** KVM_GET_MSR_INDEX_LIST */ GetMsrIndexList: exchanges(0x02, 4),
  /** KVM_CHECK_EXTENSION */ CheckExtension: plain(0x03),
  /** KVM_GET_VCPU_MMAP_SIZE */ GetVcpuMmapSize: plain(0x04),
  /** KVM_GET_SUPPORTED_CPUID */ GetSupportedCpuid: exchanges(0x05, 8),
} as const;

/** Requests on a VM. */
export const VmRequest = {
  /** KVM_CHECK_EXTENSION, of this VM */ CheckExtension: plain(0x03),
  /** KVM_CREATE_VCPU */ CreateVcpu: plain(0x41),
  /** KVM_SET_USER_MEMORY_REGION */ SetUserMemoryRegion: passes(0x46, 32),
  /** KVM_SET_TSS_ADDR */ SetTssAddress: plain(0x47),
  /** KVM_SET_IDENTITY_MAP_ADDR */ SetIdentityMapAddress: passes(0x48, 8),
  /** KVM_CREATE_IRQCHIP */ CreateIrqchip: plain(0x60),
  /** KVM_GET_IRQCHIP */ GetIrqchip: exchanges(0x62, 520),
  /** KVM_SET_IRQCHIP, declared as one that is received */ SetIrqchip: receives(0x63, 520),
  /** KVM_IRQ_LINE */ IrqLine: passes(0x61, 8),
  /** KVM_SET_GSI_ROUTING */ SetGsiRouting: passes(0x6a, 8),
  /** KVM_IRQFD */ Irqfd: passes(0x76, 32),
  /** KVM_CREATE_PIT2 */ CreatePit: passes(0x77, 64),
  /** KVM_IOEVENTFD */ Ioeventfd: passes(0x79, 64),
  /** KVM_SET_CLOCK */ SetClock: passes(0x7b, 48),
  /** KVM_GET_CLOCK */ GetClock: receives(0x7c, 48),
  /** KVM_GET_PIT2 */ GetPit: receives(0x9f, 112),
  /** KVM_SET_PIT2 */ SetPit: passes(0xa0, 112),
  /** KVM_SIGNAL_MSI */ SignalMsi: passes(0xa5, 32),
} as const;

/** Requests on a vCPU. */
export const VcpuRequest = {
  /** KVM_RUN */ Run: plain(0x80),
  /** KVM_GET_REGS */ GetRegs: receives(0x81, 144),
  /** KVM_SET_REGS */ SetRegs: passes(0x82, 144),
  /** KVM_GET_SREGS */ GetSregs: receives(0x83, 312),
  /** KVM_SET_SREGS */ SetSregs: passes(0x84, 312),
  /** KVM_GET_MSRS */ GetMsrs: exchanges(0x88, 8),
  /** KVM_SET_MSRS */ SetMsrs: passes(0x89, 8),
  /** KVM_GET_FPU */ GetFpu: receives(0x8c, 416),
  /** KVM_SET_FPU */ SetFpu: passes(0x8d, 416),
  /** KVM_GET_LAPIC */ GetLapic: receives(0x8e, 1024),
  /** KVM_SET_LAPIC */ SetLapic: passes(0x8f, 1024),
  /** KVM_SET_CPUID2 */ SetCpuid: passes(0x90, 8),
  /** KVM_GET_CPUID2 */ GetCpuid: exchanges(0x91, 8),
  /** KVM_GET_MP_STATE */ GetMpState: receives(0x98, 4),
  /** KVM_SET_MP_STATE */ SetMpState: passes(0x99, 4),
  /** KVM_NMI */ Nmi: plain(0x9a),
  /** KVM_GET_VCPU_EVENTS */ GetEvents: receives(0x9f, 64),
  /** KVM_SET_VCPU_EVENTS */ SetEvents: passes(0xa0, 64),
  /** KVM_GET_DEBUGREGS */ GetDebugRegs: receives(0xa1, 128),
  /** KVM_SET_DEBUGREGS */ SetDebugRegs: passes(0xa2, 128),
  /** KVM_GET_TSC_KHZ */ GetTscKhz: plain(0xa3),
  /** KVM_GET_XSAVE */ GetXsave: receives(0xa4, 4096),
  /** KVM_SET_XSAVE */ SetXsave: passes(0xa5, 4096),
  /** KVM_GET_XCRS */ GetXcrs: receives(0xa6, 392),
  /** KVM_SET_XCRS */ SetXcrs: passes(0xa7, 392),
  /** KVM_KVMCLOCK_CTRL */ KvmclockControl: plain(0xad),
  /** KVM_GET_XSAVE2 */ GetXsave2: receives(0xcf, 4096),
  /** KVM_SET_DEVICE_ATTR */ SetDeviceAttribute: passes(0xe1, 24),
  /** KVM_GET_DEVICE_ATTR */ GetDeviceAttribute: passes(0xe2, 24),
} as const;
