import kbuild from "./Kbuild" with { type: "text" };
import kconfig from "./Kconfig" with { type: "text" };
import device from "./device.c" with { type: "text" };
import doorbell from "./doorbell.c" with { type: "text" };
import event from "./event.c" with { type: "text" };
import memory from "./memory.c" with { type: "text" };
import newVfd from "./new.c" with { type: "text" };
import protocol from "./protocol.h" with { type: "text" };
import receive from "./receive.c" with { type: "text" };
import request from "./request.c" with { type: "text" };
import send from "./send.c" with { type: "text" };
import vfd from "./vfd.c" with { type: "text" };
import vfdFile from "./vfd_file.c" with { type: "text" };
import virtwl from "./virtwl.h" with { type: "text" };
import wl from "./wl.h" with { type: "text" };
import type { GuestDriver } from "../kernel/guest_driver.ts";

/** Virtio Wayland: `/dev/wl0`. */
export const virtioWlDriver: GuestDriver = {
  name: "virtio_wl",
  files: {
    "Kbuild": kbuild,
    "Kconfig": kconfig,
    "device.c": device,
    "doorbell.c": doorbell,
    "event.c": event,
    "memory.c": memory,
    "new.c": newVfd,
    "protocol.h": protocol,
    "receive.c": receive,
    "request.c": request,
    "send.c": send,
    "vfd.c": vfd,
    "vfd_file.c": vfdFile,
    "virtwl.h": virtwl,
    "wl.h": wl,
  },
};
