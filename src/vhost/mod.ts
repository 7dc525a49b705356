/** vhost-user: the protocol between a monitor (frontend) and a device (backend), and both of its ends. */

export {
  BackendMessage,
  backendMessageName,
  ConfigFlags,
  FrontendMessage,
  frontendMessageName,
  HeaderFlags,
  MAX_CONFIG_SIZE,
  MAX_MEMORY_REGIONS,
  MAX_MESSAGE_FDS,
  MAX_PAYLOAD_SIZE,
  MAX_QUEUES,
  ProtocolFeature,
  TransportFeature,
  VringFd,
} from "./protocol.ts";
export {
  ConfigHeader,
  Header,
  Inflight,
  InflightDescriptor,
  InflightQueue,
  MemoryRegion,
  MemoryTable,
  memoryTableSize,
  SharedMemoryConfig,
  SharedMemoryMapping,
  SingleMemoryRegion,
  U64,
  VringAddr,
  VringArea,
  VringState,
} from "./payloads.ts";
export { ProtocolError, type Violation } from "./protocol_error.ts";
export { BackendAway, BackendDisconnected, BackendRefused } from "./backend_errors.ts";
export { Frontend } from "./frontend.ts";
export type {
  FrontendOptions,
  Negotiated,
  SharedMemoryHost,
  SharedMemoryRequest,
  SharedQueue,
  SharedRegion,
  StartOptions,
} from "./frontend_options.ts";
export { countInflight } from "./count_inflight.ts";
export { InflightRegion } from "./inflight_region.ts";
export { Backend, type BackendHost, type Link, localLink } from "./backend.ts";
export { BackendRefusal } from "./backend_refusal.ts";
export { DeviceLoop } from "./device_loop.ts";
export { limited } from "./limited.ts";
