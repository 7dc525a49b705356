/** The control API of a running VM: HTTP over a Unix socket, its console beside it, and a client of both. */

export { ControlServer, type ControlServerOptions } from "./control_server.ts";
export { ConnectionLostError, ControlError, NoSuchVmError, StartError } from "./errors.ts";
