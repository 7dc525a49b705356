import {
  blockDiscard,
  blockZeroout,
  Errno,
  errorText,
  fallocate,
  FallocateMode,
  type Fd,
  fdatasync,
  fileStat,
  IoVector,
  openMode,
  pread,
  preadv,
  pwrite,
  pwritev,
  type Window,
} from "../../os/mod.ts";
import { type DescriptorChain, SECTOR_SIZE } from "../../virtio/mod.ts";
import { BounceBuffer } from "./bounce_buffer.ts";

/** A disk that cannot be served, and why. */
export class DiskError extends Error {
  override readonly name = "DiskError";
}

const ZEROES = 2 ** 20;

/** O_DIRECT cannot have the memory: not aligned, or without struct pages (EFAULT; EEXIST from Linux 5.17 on). */
function refusesMemory(result: number): boolean {
  return result === -Errno.EINVAL || result === -Errno.EFAULT || result === -Errno.EEXIST;
}
const { KeepSize, PunchHole, ZeroRange } = FallocateMode;

/**
 * A raw image or block device that the process was handed. Every operation waits for its end, and
 * returns 0 or a negative error number.
 *
 * @example
 * ```ts
 * import { type Fd, Window } from "spectrum";
 *
 * // How large an open image is, in bytes.
 * function sizeOf(image: Fd, window: Window): number {
 *   using disk = new Disk(window, image, true, 1);
 *   return disk.size;
 * }
 * ```
 */
export class Disk implements Disposable {
  /** Bytes that a guest can use. */
  readonly size: number;
  /** Smallest unit of the disk in bytes, at least {@link SECTOR_SIZE}. */
  readonly blockSize: number;
  /** Unit that suits the host best. */
  readonly physicalBlockSize: number;
  /** Opened with O_DIRECT: memory, positions and lengths must be multiples of the block size, or bounce. */
  readonly direct: boolean;
  /** Unused ranges can be given back to the host. */
  readonly canDiscard: boolean;
  readonly #window: Window;
  readonly #isBlockDevice: boolean;
  readonly #vector: IoVector;
  readonly #bounce: BounceBuffer;
  readonly #zeroes: number;
  #punches = true;
  #zeroesRange = true;

  /**
   * @param fd stays the caller's
   * @param segments the most pieces of a transfer
   * @throws DiskError when it is no disk, or cannot be written to but should be
   */
  constructor(window: Window, readonly fd: Fd, readonly readonly: boolean, segments: number) {
    const stat = fileStat(fd);
    const mode = openMode(fd);
    if (!stat.isRegular && !stat.isBlockDevice) {
      throw new DiskError("the disk is neither a file nor a block device");
    }
    if (!readonly && !mode.write) throw new DiskError("the disk is opened for reading only");
    if (!mode.read) throw new DiskError("the disk is opened for writing only");
    this.#window = window;
    this.#isBlockDevice = stat.isBlockDevice;
    this.direct = mode.direct;
    this.#bounce = new BounceBuffer(window);
    this.blockSize = this.direct
      ? this.#directBlockSize(stat.size)
      : stat.isBlockDevice
      ? Math.max(stat.blockSize, SECTOR_SIZE)
      : SECTOR_SIZE;
    this.physicalBlockSize = Math.max(this.blockSize, stat.isBlockDevice ? 0 : 4096);
    this.size = stat.size - stat.size % this.blockSize;
    if (this.size === 0) throw new DiskError(`the disk has ${stat.size} bytes`);
    this.#vector = new IoVector(window, segments);
    this.#zeroes = window.allocate(ZEROES);
    // Never written to, so that all of it stays the one page of zeroes that the kernel has.
    window.mapAnonymous(this.#zeroes, ZEROES);
    this.canDiscard = !readonly && (stat.isBlockDevice || this.#canPunch());
  }

  /** What O_DIRECT wants here: found out by reading, since older kernels do not tell. */
  #directBlockSize(size: number): number {
    for (let unit = SECTOR_SIZE; unit < 4096; unit *= 2) {
      if (size < 2 * unit) break;
      if (pread(this.fd, this.#bounce.offset + unit, unit, unit) === unit) return unit;
    }
    return 4096;
  }

  /** Past the end nothing changes, but a file system that cannot says so. */
  #canPunch(): boolean {
    const past = Math.ceil(this.size / 4096) * 4096 + 4096;
    return fallocate(this.fd, PunchHole | KeepSize, past, 4096) === 0;
  }

  /** Whether the pieces can go to the disk as they are. */
  isAligned(chain: DescriptorChain, first: number, end: number, position: number): boolean {
    if (!this.direct) return true;
    // Numbers beyond 2^31 keep their low bits here.
    const mask = this.blockSize - 1;
    let bits = position;
    for (let i = first; i < end; i++) bits |= chain.offsets[i] | chain.lengths[i];
    return (bits & mask) === 0;
  }

  /** Moves data between pieces of memory and the disk; the pieces are used up. 0 when all of it was moved. */
  transfer(
    write: boolean,
    chain: DescriptorChain,
    first: number,
    end: number,
    position: number,
  ): number {
    if (!this.isAligned(chain, first, end, position)) {
      return this.bounce(write, chain, first, end, position);
    }
    while (first < end) {
      const done = this.#some(write, chain, first, end, position);
      if (done === -Errno.EINTR || done === -Errno.EAGAIN) continue;
      if (this.direct && refusesMemory(done)) {
        return this.bounce(write, chain, first, end, position);
      }
      if (done < 0) return done;
      // The disk became smaller under us.
      if (done === 0) return -Errno.EIO;
      position += done;
      for (let left = done; left > 0;) {
        const part = Math.min(left, chain.lengths[first]);
        chain.offsets[first] += part;
        chain.lengths[first] -= part;
        left -= part;
        if (chain.lengths[first] === 0) first++;
      }
    }
    return 0;
  }

  #some(write: boolean, chain: DescriptorChain, first: number, end: number, at: number): number {
    const { offsets, lengths } = chain;
    if (end - first === 1) {
      return write
        ? pwrite(this.fd, offsets[first], lengths[first], at)
        : pread(this.fd, offsets[first], lengths[first], at);
    }
    const vector = this.fill(chain, first, end);
    return write ? pwritev(this.fd, vector, at) : preadv(this.fd, vector, at);
  }

  /** The pieces as a vector, good until the next call. */
  fill(chain: DescriptorChain, first: number, end: number): IoVector {
    const vector = this.#vector;
    vector.clear();
    for (let i = first; i < end; i++) vector.push(chain.offsets[i], chain.lengths[i]);
    return vector;
  }

  /** As {@link transfer} through an aligned buffer. Nothing else may be writing to the disk. */
  bounce(
    write: boolean,
    chain: DescriptorChain,
    first: number,
    end: number,
    position: number,
  ): number {
    return this.#bounce.transfer(
      write,
      this.fd,
      this.blockSize,
      this.size,
      chain,
      first,
      end,
      position,
    );
  }

  /** Returns when everything that was written before is on the disk. */
  flush(): number {
    return fdatasync(this.fd);
  }

  /** Gives a range back to the host; what it reads as afterwards is undefined. */
  discard(position: number, length: number): number {
    return this.#isBlockDevice
      ? blockDiscard(this.fd, position, length)
      : fallocate(this.fd, PunchHole | KeepSize, position, length);
  }

  /** Makes a range read as zeroes; with `unmap` it may be given back to the host. */
  zero(position: number, length: number, unmap: boolean): number {
    if (this.#isBlockDevice) return blockZeroout(this.fd, position, length);
    if (unmap && this.#punches) {
      const result = fallocate(this.fd, PunchHole | KeepSize, position, length);
      if (result !== -Errno.EOPNOTSUPP) return result;
      this.#punches = false;
    }
    if (this.#zeroesRange) {
      const result = fallocate(this.fd, ZeroRange | KeepSize, position, length);
      if (result !== -Errno.EOPNOTSUPP) return result;
      this.#zeroesRange = false;
    }
    return this.#writeZeroes(position, length);
  }

  #writeZeroes(position: number, length: number): number {
    while (length > 0) {
      const count = pwrite(this.fd, this.#zeroes, Math.min(length, ZEROES), position);
      if (count === -Errno.EINTR) continue;
      if (count <= 0) return count === 0 ? -Errno.EIO : count;
      position += count;
      length -= count;
    }
    return 0;
  }

  /** Why an operation failed, for people. */
  static reason(result: number): string {
    return errorText(-result);
  }

  [Symbol.dispose](): void {
    this.#vector[Symbol.dispose]();
    this.#bounce[Symbol.dispose]();
    this.#window.free(this.#zeroes, ZEROES);
  }
}
