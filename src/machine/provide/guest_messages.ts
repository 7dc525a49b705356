import * as v from "valibot";
import { defineMessages, type ReceivedBody } from "../../msg/mod.ts";

/** The context over which a guest that provides devices hears from its monitor. */
export const CONFIG_CONTEXT = "config";

const context = v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,20}\/[a-z0-9]{1,11}$/));
const cid = v.pipe(v.number(), v.integer(), v.minValue(3), v.maxValue(0xffff_fffe));
const path = v.pipe(v.string(), v.startsWith("/"));
/** Of the requests to serve a device: which of them it is. */
const attempt = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const milliseconds = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** A device as `[[provides]]` describes it; paths are inside the guest. */
const Device = v.variant("kind", [
  v.strictObject({
    kind: v.literal("blk"),
    path,
    readonly: v.boolean(),
    cache: v.picklist(["auto", "none"]),
    queues: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(16)),
    serial: v.string(),
  }),
  v.strictObject({ kind: v.literal("rng") }),
  v.strictObject({ kind: v.literal("console"), to: path }),
  v.strictObject({
    kind: v.literal("net"),
    /** The guest's interface whose network the device is on. */
    interface: v.pipe(v.string(), v.regex(/^[a-zA-Z0-9_.-]{1,15}$/)),
    mac: v.pipe(v.string(), v.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)),
  }),
  v.strictObject({ kind: v.literal("vsock"), cid, path }),
]);

/** What a guest serves that provides devices. */
export const guestMessages = defineMessages({
  serve: {
    doc:
      "Starts a device for the frontend at the other end of a context; answered when it is locked and serves.",
    body: v.strictObject({ context, attempt, device: Device }),
    answer: v.null(),
    errors: { unusable: "there is no such thing in the guest, or it does not make a device" },
  },
  powerOff: {
    doc: "Ends all devices and powers the guest off.",
    body: v.null(),
  },
});

/** What the monitor of a VM serves to its guest. */
export const providerMessages = defineMessages({
  hello: {
    doc: "The guest is ready to serve devices; how long it took, from the start of its kernel on.",
    body: v.strictObject({ initMs: milliseconds, runtimeMs: milliseconds, readyMs: milliseconds }),
  },
  ended: {
    doc: "A device has ended, with its process: it holds no memory of the other VM any more.",
    body: v.strictObject({ context, attempt, how: v.pipe(v.string(), v.maxLength(1000)) }),
  },
});

/** A device that a guest is to serve. */
export type ProvidedDevice = ReceivedBody<typeof guestMessages, "serve">["device"];
