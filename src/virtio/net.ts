/** Network device: features, config space, packet headers, control commands (virtio 1.2 §5.1). */

import { bytes, struct, u16, u8 } from "../codec/mod.ts";

/** Feature bits (§5.1.3), as masks. */
export const NetFeature = {
  /** The device completes checksums of packets that the driver sends. */
  Csum: 1n << 0n,
  /** The driver takes packets whose checksum is not complete. */
  GuestCsum: 1n << 1n,
  CtrlGuestOffloads: 1n << 2n,
  Mtu: 1n << 3n,
  Mac: 1n << 5n,
  GuestTso4: 1n << 7n,
  GuestTso6: 1n << 8n,
  GuestEcn: 1n << 9n,
  GuestUfo: 1n << 10n,
  HostTso4: 1n << 11n,
  HostTso6: 1n << 12n,
  HostEcn: 1n << 13n,
  HostUfo: 1n << 14n,
  /** VIRTIO_NET_F_MRG_RXBUF: a packet may fill several receive buffers. */
  MrgRxbuf: 1n << 15n,
  /** The config space tells whether the link is up. */
  Status: 1n << 16n,
  CtrlVq: 1n << 17n,
  CtrlRx: 1n << 18n,
  CtrlVlan: 1n << 19n,
  CtrlRxExtra: 1n << 20n,
  GuestAnnounce: 1n << 21n,
  Mq: 1n << 22n,
  CtrlMacAddr: 1n << 23n,
  HashReport: 1n << 57n,
  Rss: 1n << 60n,
  SpeedDuplex: 1n << 63n,
} as const;

/** Bytes of a MAC address. */
export const MAC_SIZE = 6;

/** struct virtio_net_config (§5.1.4) up to the fields of features that nobody here offers. */
export const NetConfig = struct({
  mac: bytes(MAC_SIZE),
  /** {@link NetStatus} */
  status: u16,
  /** Of a receive and a transmit queue each. */
  maxVirtqueuePairs: u16,
  mtu: u16,
});

/** VIRTIO_NET_S_* (§5.1.4.2). */
export const NetStatus = { LinkUp: 1, Announce: 2 } as const;

/** struct virtio_net_hdr (§5.1.6) of version 1; a packet follows. */
export const NetHeader = struct({
  /** {@link NetHeaderFlag} */
  flags: u8,
  gsoType: u8,
  hdrLen: u16,
  gsoSize: u16,
  /** Where the checksum begins, and where behind that its field is: from the beginning of the packet on. */
  csumStart: u16,
  csumOffset: u16,
  /** On receiving: how many buffers the packet fills. */
  numBuffers: u16,
});

/** VIRTIO_NET_HDR_F_* */
export const NetHeaderFlag = { NeedsCsum: 1, DataValid: 2, RscInfo: 4 } as const;

/** Bytes in front of a frame's payload: two addresses and a type. */
export const ETHERNET_HEADER = 14;

/** Smallest and largest MTU that a device may tell (§5.1.4.1). */
export const NetMtu = { least: 68, most: 65535 } as const;

/** Classes of control commands (§5.1.6.5), and the commands. */
export const NetControl = {
  Rx: { class: 0, Promisc: 0, AllMulti: 1, AllUni: 2, NoMulti: 3, NoUni: 4, NoBcast: 5 },
  Mac: { class: 1, TableSet: 0, AddrSet: 1 },
  Vlan: { class: 2, Add: 0, Del: 1 },
  Announce: { class: 3, Ack: 0 },
  Mq: { class: 4, PairsSet: 0, RssConfig: 1, HashConfig: 2 },
  GuestOffloads: { class: 5, Set: 0 },
} as const;

/** VIRTIO_NET_OK and VIRTIO_NET_ERR: the last byte of a control command. */
export const NetAck = { Ok: 0, Error: 1 } as const;
