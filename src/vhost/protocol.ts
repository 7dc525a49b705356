/**
 * Numbers of the vhost-user protocol. Source: QEMU's "Vhost-user Protocol"
 * (docs/interop/vhost-user.rst), section names in the comments.
 */

/** "Front-end message types": what a frontend asks of a backend. */
export const FrontendMessage = {
  GetFeatures: 1,
  SetFeatures: 2,
  SetOwner: 3,
  /** Deprecated; backends ignore it. */
  ResetOwner: 4,
  SetMemTable: 5,
  SetLogBase: 6,
  SetLogFd: 7,
  SetVringNum: 8,
  SetVringAddr: 9,
  SetVringBase: 10,
  GetVringBase: 11,
  SetVringKick: 12,
  SetVringCall: 13,
  SetVringErr: 14,
  GetProtocolFeatures: 15,
  SetProtocolFeatures: 16,
  GetQueueNum: 17,
  SetVringEnable: 18,
  SendRarp: 19,
  NetSetMtu: 20,
  SetBackendReqFd: 21,
  IotlbMsg: 22,
  SetVringEndian: 23,
  GetConfig: 24,
  SetConfig: 25,
  CreateCryptoSession: 26,
  CloseCryptoSession: 27,
  PostcopyAdvise: 28,
  PostcopyListen: 29,
  PostcopyEnd: 30,
  GetInflightFd: 31,
  SetInflightFd: 32,
  GpuSetSocket: 33,
  ResetDevice: 34,
  VringKick: 35,
  GetMaxMemSlots: 36,
  AddMemReg: 37,
  RemMemReg: 38,
  SetStatus: 39,
  GetStatus: 40,
  GetSharedObject: 41,
  SetDeviceStateFd: 42,
  CheckDeviceState: 43,
  GetShmemConfig: 44,
} as const;

/** "Back-end message types": what a backend asks of a frontend, over the socket of SetBackendReqFd. */
export const BackendMessage = {
  IotlbMsg: 1,
  ConfigChange: 2,
  VringHostNotifier: 3,
  VringCall: 4,
  VringErr: 5,
  SharedObjectAdd: 6,
  SharedObjectRemove: 7,
  SharedObjectLookup: 8,
  ShmemMap: 9,
  ShmemUnmap: 10,
} as const;

const nameOf = (table: Readonly<Record<string, number>>, number: number) =>
  Object.entries(table).find(([, value]) => value === number)?.[0] ?? `message ${number}`;

/** `GetFeatures` for 1, for errors and logs; `message 77` for what the specification does not know. */
export function frontendMessageName(request: number): string {
  return nameOf(FrontendMessage, request);
}

/** `ConfigChange` for 2, likewise for messages of backends. */
export function backendMessageName(request: number): string {
  return nameOf(BackendMessage, request);
}

/** "Header": the flags field. Bits 0 and 1 are the version. */
export const HeaderFlags = {
  VersionMask: 0x3,
  /** The only version there is. */
  Version: 0x1,
  /** On each reply. */
  Reply: 0x4,
  /** The sender wants a reply of success or failure (with REPLY_ACK). */
  NeedReply: 0x8,
} as const;

/** Feature bits that belong to the transport and not to virtio ("Communication", "Migration"), as masks. */
export const TransportFeature = {
  /** VHOST_F_LOG_ALL */
  LogAll: 1n << 26n,
  /** VHOST_USER_F_PROTOCOL_FEATURES: the backend knows GetProtocolFeatures. Never shown to a driver. */
  ProtocolFeatures: 1n << 30n,
} as const;

/** "Protocol features" (VHOST_USER_PROTOCOL_F_*), as masks. */
export const ProtocolFeature = {
  Mq: 1n << 0n,
  LogShmfd: 1n << 1n,
  Rarp: 1n << 2n,
  ReplyAck: 1n << 3n,
  Mtu: 1n << 4n,
  BackendReq: 1n << 5n,
  CrossEndian: 1n << 6n,
  CryptoSession: 1n << 7n,
  Pagefault: 1n << 8n,
  Config: 1n << 9n,
  BackendSendFd: 1n << 10n,
  HostNotifier: 1n << 11n,
  InflightShmfd: 1n << 12n,
  ResetDevice: 1n << 13n,
  InbandNotifications: 1n << 14n,
  ConfigureMemSlots: 1n << 15n,
  Status: 1n << 16n,
  XenMmap: 1n << 17n,
  SharedObject: 1n << 18n,
  DeviceState: 1n << 19n,
  Shmem: 1n << 20n,
} as const;

/** "Virtio device config space": the flags of GetConfig and SetConfig. */
export const ConfigFlags = {
  /** Fields that the driver may write. */
  Writable: 0,
  /** Live migration: read-only fields, too. */
  Migration: 1,
} as const;

/** The flags of ShmemMap. */
export const SharedMemoryFlags = { ReadOnly: 0, Writable: 1 } as const;

/** The u64 of SetVringKick, SetVringCall and SetVringErr. */
export const VringFd = {
  IndexMask: 0xff,
  /** No descriptor comes along: poll instead (VHOST_USER_VRING_NOFD_MASK). */
  NoFd: 0x100,
} as const;

/** The most regions in SetMemTable, and descriptors in any message ("Memory regions description"). */
export const MAX_MEMORY_REGIONS = 8;

/** The most descriptors that any message carries, to either side. */
export const MAX_MESSAGE_FDS = 8;

/** The most bytes of a device's config space (virtio 1.2 leaves it open; VHOST_USER_MAX_CONFIG_SIZE). */
export const MAX_CONFIG_SIZE = 256;

/** The most queues: the index in {@link VringFd} has eight bits. */
export const MAX_QUEUES = 256;

/** The largest payload in either direction that this implementation takes: twice GetShmemConfig's. */
export const MAX_PAYLOAD_SIZE = 4096;
