// `spectrum guest connect`: Unix sockets of a guest whose connections are contexts to sockets of its host.
export { guestConnect } from "./guest_connect.ts";
export { Connector, type ConnectorOptions } from "./connector.ts";
export { ConnectError } from "./connect_error.ts";
export { socketPath } from "./socket_path.ts";
