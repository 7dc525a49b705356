/** What each message to a backend must look like, before its contents are looked at. */

import {
  ConfigHeader,
  Inflight,
  MemoryTable,
  memoryTableSize,
  SingleMemoryRegion,
  U64,
  VringAddr,
  VringState,
} from "./payloads.ts";
import { FrontendMessage, MAX_CONFIG_SIZE, MAX_MEMORY_REGIONS } from "./protocol.ts";

/** Shape of a message. */
export interface MessageShape {
  /** Least and most bytes of payload. */
  readonly least: number;
  readonly most: number;
  /** The most descriptors. */
  readonly fds: number;
  /** It has an answer of its own, and is not acknowledged. */
  readonly answered: boolean;
}

const exactly = (size: number, fds = 0): MessageShape => (
  { least: size, most: size, fds, answered: false }
);
const answered = (size: number): MessageShape => ({ ...exactly(size), answered: true });
const config = { least: ConfigHeader.size, most: ConfigHeader.size + MAX_CONFIG_SIZE, fds: 0 };

/** The messages that this backend takes, by number. */
export const messageShapes: ReadonlyMap<number, MessageShape> = new Map([
  [FrontendMessage.GetFeatures, answered(0)],
  [FrontendMessage.SetFeatures, exactly(U64.size)],
  [FrontendMessage.SetOwner, exactly(0)],
  [FrontendMessage.ResetOwner, exactly(0)],
  [FrontendMessage.SetMemTable, {
    least: MemoryTable.offset.regions,
    most: memoryTableSize(MAX_MEMORY_REGIONS),
    fds: MAX_MEMORY_REGIONS,
    answered: false,
  }],
  [FrontendMessage.SetVringNum, exactly(VringState.size)],
  [FrontendMessage.SetVringAddr, exactly(VringAddr.size)],
  [FrontendMessage.SetVringBase, exactly(VringState.size)],
  [FrontendMessage.GetVringBase, answered(VringState.size)],
  [FrontendMessage.SetVringKick, exactly(U64.size, 1)],
  [FrontendMessage.SetVringCall, exactly(U64.size, 1)],
  [FrontendMessage.SetVringErr, exactly(U64.size, 1)],
  [FrontendMessage.GetProtocolFeatures, answered(0)],
  [FrontendMessage.SetProtocolFeatures, exactly(U64.size)],
  [FrontendMessage.GetQueueNum, answered(0)],
  [FrontendMessage.SetVringEnable, exactly(VringState.size)],
  [FrontendMessage.SetBackendReqFd, exactly(0, 1)],
  [FrontendMessage.GetConfig, { ...config, answered: true }],
  [FrontendMessage.SetConfig, { ...config, answered: false }],
  [FrontendMessage.GetInflightFd, answered(Inflight.size)],
  [FrontendMessage.SetInflightFd, exactly(Inflight.size, 1)],
  [FrontendMessage.ResetDevice, exactly(0)],
  [FrontendMessage.GetMaxMemSlots, answered(0)],
  [FrontendMessage.GetShmemConfig, answered(0)],
  [FrontendMessage.AddMemReg, exactly(SingleMemoryRegion.size, 1)],
  // Some frontends send the descriptor once more.
  [FrontendMessage.RemMemReg, exactly(SingleMemoryRegion.size, 1)],
]);
