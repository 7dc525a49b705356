import * as v from "valibot";
import { defineMessages, descriptor, type SentBody } from "../msg/mod.ts";

const queues = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64));

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const rate = v.optional(v.pipe(v.number(), v.minValue(1)));
/** Rates for each second, and seconds of them that may be used at once. */
const limits = v.strictObject({
  operations: rate,
  bytes: rate,
  burst: v.pipe(v.number(), v.minValue(0.001)),
});
const slot = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(1023));
const cid = v.pipe(v.number(), v.integer(), v.minValue(3), v.maxValue(0xffff_fffe));
const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffff_ffff));
/** Of the worker's wishes for connections: which of them it is. */
const wish = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const limit = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(8192));

const pairs = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(8));
const mtu = v.pipe(v.number(), v.integer(), v.minValue(68), v.maxValue(65535));
const mac = v.pipe(v.string(), v.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/));

/** Where a network device ends on the host. */
const NetEnd = v.variant("kind", [
  v.strictObject({
    kind: v.literal("tap"),
    /** A queue of the tap for each pair of the device, with IFF_VNET_HDR and headers of 12 bytes. */
    queues: v.pipe(v.array(descriptor), v.minLength(1), v.maxLength(8)),
  }),
  v.strictObject({
    kind: v.literal("stream"),
    /** A connected stream on which each frame follows its length (u32, big endian), as passt has it. New for each worker. */
    socket: descriptor,
  }),
], "it is no end of a network device");

/** A kind of device, and what it is handed. */
const Device = v.variant("kind", [
  v.strictObject({
    kind: v.literal("blk"),
    /** A file or block device; its open mode must fit what follows. */
    disk: descriptor,
    readonly: v.boolean(),
    /** `none` needs a disk that was opened with O_DIRECT. */
    cache: v.picklist(["auto", "none"]),
    queues,
    /** At most 20 bytes. */
    serial: v.optional(v.string()),
    limit: v.optional(limits),
  }),
  v.strictObject({ kind: v.literal("rng") }),
  v.strictObject({
    kind: v.literal("console"),
    input: v.optional(descriptor),
    output: descriptor,
  }),
  v.strictObject({
    kind: v.literal("vsock"),
    /** The guest's context id. */
    cid,
    /** Where programs of the host connect to ports of the guest. */
    listener: descriptor,
  }),
  v.strictObject({
    kind: v.literal("wl"),
    /** Bytes of its shared memory region; a multiple of 2 MiB. */
    region: size,
    /** The most memory in bytes that the guest may have allocated. */
    memory: size,
    vfds: limit,
    contexts: limit,
    /** Slots of the machine's doorbell function; 0 without. */
    doorbells: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(1024)),
  }),
  v.strictObject({
    kind: v.literal("net"),
    end: NetEnd,
    mac,
    /** What the driver is told; nothing when left out. */
    mtu: v.optional(mtu),
    /** Pairs of queues. */
    pairs,
    limit: v.optional(limits),
  }),
], "it is no kind of device");

/** Where the frontend is. */
const Frontend = v.variant("how", [
  /** At the other end of this socket; the worker ends with it. */
  v.strictObject({ how: v.literal("connected"), socket: descriptor }),
  /**
   * In a guest: at the other end of this virtio-wl context. Memory to share comes from the device (/dev/wl0). The worker
   * ends with the frontend.
   */
  v.strictObject({ how: v.literal("context"), context: descriptor, device: descriptor }),
  /** They connect to this socket, one after the other. */
  v.strictObject({ how: v.literal("listening"), socket: descriptor }),
  /** Nowhere: the worker tells on its standard output what its lock leaves it, and ends. */
  v.strictObject({ how: v.literal("report") }),
]);

/** What a device worker serves over its message socket. */
export const workerMessages = defineMessages({
  setUp: {
    doc:
      "Makes the worker a device. The first message, and the only one of its name; answered when " +
      "the worker has given up every permission and serves its frontend.",
    body: v.strictObject({
      device: Device,
      frontend: Frontend,
      /**
       * What becomes of the worker at a system call beyond its policy: it is killed, unless it is to name the call first,
       * or is not watched.
       */
      otherCalls: v.optional(v.picklist(["kill", "report", "allow"])),
    }),
    answer: v.null(),
    errors: { unusable: "what it was handed does not make such a device; the worker ends" },
  },
  replaceEnd: {
    doc:
      "Gives a network device another end, after the one that it had is gone: the link is up again. Without one, the " +
      "link goes down.",
    body: v.strictObject({ end: v.optional(NetEnd) }),
    answer: v.null(),
    errors: {
      unusable: "it is no network device, or the descriptors make no such end; the link is down",
    },
  },
  portConnected: {
    doc: "What came of `connectPort`: a socket, or none when nobody is there.",
    body: v.strictObject({ wish, socket: v.optional(descriptor) }),
  },
});

/** What a monitor serves to its workers. */
export const monitorMessages = defineMessages({
  openContext: {
    doc:
      "Connects to a socket of the host for the guest, by the name that it has in the VM's configuration.",
    body: v.strictObject({ name: v.pipe(v.string(), v.maxLength(32)) }),
    answer: v.strictObject({ socket: descriptor }),
    errors: {
      unknown: "the configuration has no socket of that name",
      unreachable: "nobody listens there",
    },
  },
  throttled: {
    doc:
      "What the limit of a device has held back since the worker began: how often, and how long.",
    body: v.strictObject({ times: size, milliseconds: size }),
  },
  connectPort: {
    doc:
      "Connects to the socket that stands for a port of the host, for a guest's vsock. What comes of it is told by " +
      "`portConnected`: others are not held up meanwhile.",
    body: v.strictObject({ wish, port }),
  },
  bindDoorbell: {
    doc:
      "Makes an event ring in the guest by a slot of the doorbell function (read), or the guest ring it (write), " +
      "until it is unbound, the driver resets the device, or the worker is gone.",
    body: v.strictObject({
      slot,
      event: descriptor,
      direction: v.picklist(["read", "write"]),
    }),
    answer: v.null(),
    errors: {
      refused: "there is no such slot, it is taken, it is no event, or the host cannot do it",
    },
  },
  unbindDoorbell: {
    doc: "Frees a slot. One that is bound in a later message is free by then.",
    body: v.strictObject({ slot }),
  },
});

/** The set-up of a worker as a monitor sends it. */
export type WorkerSetUp = SentBody<typeof workerMessages, "setUp">;

/** The number of a worker's message socket; 0 to 2 are the standard streams, and it is handed nothing else. */
export const MESSAGE_SOCKET = 3;
