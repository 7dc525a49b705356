/** Sockets between a guest and its host, which are Unix sockets there. */

export { MOST_CONNECTIONS, VsockDevice, type VsockOptions } from "./vsock_device.ts";
