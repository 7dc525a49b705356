/** Message sockets: typed messages with descriptors in them, over Unix sockets or any stream of bytes. */

export { AsyncPeer, type RequestOptions } from "./async_peer.ts";
export { BlockingPeer } from "./blocking_peer.ts";
export { bytes } from "./bytes.ts";
export { describeMessages, describeSchema } from "./describe.ts";
export { descriptor, type Lent, type SentFd } from "./descriptor.ts";
export {
  DisconnectedError,
  PeerError,
  RequestError,
  SendError,
  type SendRefusal,
  type Violation,
} from "./message_errors.ts";
export {
  defineMessages,
  type Messages,
  type MessageType,
  type NoteName,
  type ReceivedAnswer,
  type ReceivedBody,
  type RequestName,
  type Schema,
  type SentAnswer,
  type SentBody,
} from "./protocol.ts";
export { Received } from "./received.ts";
export type { Handler, Handlers, RequestContext, SessionOptions } from "./session.ts";
export { byteTransport, SocketTransport, unixTransport } from "./socket_transport.ts";
export type { Chunk, NoChunk, Transport } from "./transport.ts";
export { virtioWlTransport } from "./virtio_wl_transport.ts";
