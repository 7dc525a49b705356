import assert from "node:assert/strict";
import { encodeRoutes } from "./gsi_route.ts";
import { Fpu, Regs, Segment, Sregs } from "./registers.ts";
import { SystemRequest, VcpuRequest, VmRequest } from "./requests.ts";
import {
  CpuidEntry,
  Ioeventfd,
  Irqfd,
  IrqRoutingEntry,
  Msi,
  MsrEntry,
  PitConfig,
  RunHead,
  RunIo,
  RunMmio,
  UserMemoryRegion,
} from "./structures.ts";

// All numbers here were printed by a C program that includes Debian 12's <linux/kvm.h>.

Deno.test("request numbers are the kernel's", () => {
  assert.deepEqual(SystemRequest, {
    GetApiVersion: 0xae00,
    CreateVm: 0xae01,
    GetMsrIndexList: 0xc004ae02,
    CheckExtension: 0xae03,
    GetVcpuMmapSize: 0xae04,
    GetSupportedCpuid: 0xc008ae05,
  });
  assert.deepEqual(VmRequest, {
    CheckExtension: 0xae03,
    CreateVcpu: 0xae41,
    SetUserMemoryRegion: 0x4020ae46,
    SetTssAddress: 0xae47,
    SetIdentityMapAddress: 0x4008ae48,
    CreateIrqchip: 0xae60,
    GetIrqchip: 0xc208ae62,
    SetIrqchip: 0x8208ae63,
    IrqLine: 0x4008ae61,
    SetGsiRouting: 0x4008ae6a,
    Irqfd: 0x4020ae76,
    CreatePit: 0x4040ae77,
    Ioeventfd: 0x4040ae79,
    SetClock: 0x4030ae7b,
    GetClock: 0x8030ae7c,
    GetPit: 0x8070ae9f,
    SetPit: 0x4070aea0,
    SignalMsi: 0x4020aea5,
  });
  assert.deepEqual(VcpuRequest, {
    Run: 0xae80,
    GetRegs: 0x8090ae81,
    SetRegs: 0x4090ae82,
    GetSregs: 0x8138ae83,
    SetSregs: 0x4138ae84,
    GetMsrs: 0xc008ae88,
    SetMsrs: 0x4008ae89,
    GetFpu: 0x81a0ae8c,
    SetFpu: 0x41a0ae8d,
    GetLapic: 0x8400ae8e,
    SetLapic: 0x4400ae8f,
    SetCpuid: 0x4008ae90,
    GetCpuid: 0xc008ae91,
    GetMpState: 0x8004ae98,
    SetMpState: 0x4004ae99,
    Nmi: 0xae9a,
    GetEvents: 0x8040ae9f,
    SetEvents: 0x4040aea0,
    GetDebugRegs: 0x8080aea1,
    SetDebugRegs: 0x4080aea2,
    GetTscKhz: 0xaea3,
    GetXsave: 0x9000aea4,
    SetXsave: 0x5000aea5,
    GetXcrs: 0x8188aea6,
    SetXcrs: 0x4188aea7,
    KvmclockControl: 0xaead,
    GetXsave2: 0x9000aecf,
    SetDeviceAttribute: 0x4018aee1,
    GetDeviceAttribute: 0x4018aee2,
  });
});

Deno.test("structures have the kernel's sizes and offsets", () => {
  const sizes = [Regs, Sregs, Segment, Fpu, CpuidEntry, MsrEntry, UserMemoryRegion, Irqfd];
  assert.deepEqual(sizes.map((s) => s.size), [144, 312, 24, 416, 40, 16, 32, 32]);
  const more = [Ioeventfd, IrqRoutingEntry, PitConfig, Msi];
  assert.deepEqual(more.map((s) => s.size), [64, 48, 64, 32]);
  assert.deepEqual(
    [Sregs.offset.gdt, Sregs.offset.cr0, Sregs.offset.efer, Sregs.offset.interruptBitmap],
    [192, 224, 264, 280],
  );
  assert.deepEqual([Fpu.offset.controlWord, Fpu.offset.mxcsr], [128, 408]);
  assert.deepEqual([Ioeventfd.offset.descriptor, Ioeventfd.offset.flags], [20, 24]);
  assert.equal(RunHead.size, 32);
  assert.deepEqual([RunHead.offset.immediateExit, RunHead.offset.exitReason], [1, 8]);
  assert.deepEqual([RunIo.offset.port, RunIo.offset.count, RunIo.offset.dataOffset], [2, 4, 8]);
  assert.deepEqual([RunMmio.offset.data, RunMmio.offset.length, RunMmio.offset.isWrite], [
    8,
    16,
    20,
  ]);
});

Deno.test("a table of routes is laid out as the kernel reads it", () => {
  const data = encodeRoutes([
    { gsi: 4, kind: "irqchip", chip: 2, pin: 4 },
    { gsi: 24, kind: "msi", address: 0xfee00000, addressHigh: 0, data: 0x4031 },
  ]);
  const words = [...new Uint32Array(data.buffer)];
  assert.equal(data.length, 8 + 2 * 48);
  assert.deepEqual(words.slice(0, 9), [2, 0, 4, 1, 0, 0, 2, 4, 0]);
  assert.deepEqual(words.slice(14, 21), [24, 2, 0, 0, 0xfee00000, 0, 0x4031]);
});
