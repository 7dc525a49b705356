import { OsError, pread, seals, type Window } from "../os/mod.ts";
import { inflightQueueBytes } from "./inflight_log.ts";
import type { InflightRegion } from "./inflight_region.ts";
import { InflightDescriptor, InflightQueue } from "./payloads.ts";

/** Notes of that many bytes are read; 4 KiB are those of one queue of 256. */
const MOST = 2 ** 20;

/**
 * Requests that a backend which has ended had taken and not answered, by its notes. They are read instead of mapped:
 * they may vanish. Undefined when they are not in memory, or too many.
 */
export function countInflight(region: InflightRegion, window: Window): number | undefined {
  const { fd, mmapOffset, mmapSize, queueCount, queueSize } = region;
  const stride = inflightQueueBytes(queueSize);
  const length = queueCount * stride;
  // To read what is no memory may take for ever.
  if (length > Math.min(MOST, mmapSize) || !isMemory(region)) return undefined;
  let at: number;
  try {
    at = window.allocate(length);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return undefined;
  }
  try {
    window.mapAnonymous(at, length);
    if (pread(fd, at, length, mmapOffset) !== length) return undefined;
    let count = 0;
    for (let queue = 0; queue < queueCount; queue++) {
      const first = at + queue * stride + InflightQueue.size;
      for (let head = 0; head < queueSize; head++) {
        const { inflight } = InflightDescriptor.offset;
        count += window.view.getUint8(first + head * InflightDescriptor.size + inflight) & 1;
      }
    }
    return count;
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return undefined;
  } finally {
    window.free(at, length);
  }
}

function isMemory({ fd }: InflightRegion): boolean {
  try {
    seals(fd);
    return true;
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return false;
  }
}
