/**
 * What a device worker may call. After its set-up hostile code in a worker could still call every
 * one of these, so none of them opens a file, makes a connection or takes an address.
 */
export const workerSymbols = {
  sp_window_reserve: { parameters: ["f64"], result: "f64" },
  sp_window_map: { parameters: ["f64", "f64", "i32", "f64", "i32", "i32"], result: "i32" },
  sp_window_anonymous: { parameters: ["f64", "f64"], result: "i32" },
  sp_window_huge: { parameters: ["f64", "f64"], result: "i32" },
  sp_window_unmap: { parameters: ["f64", "f64"], result: "i32" },

  sp_pread: { parameters: ["i32", "f64", "f64", "f64"], result: "i32" },
  sp_pwrite: { parameters: ["i32", "f64", "f64", "f64"], result: "i32" },
  sp_read: { parameters: ["i32", "f64", "f64"], result: "i32" },
  sp_write: { parameters: ["i32", "f64", "f64"], result: "i32" },
  sp_preadv: { parameters: ["i32", "f64", "u32", "f64"], result: "i32" },
  sp_pwritev: { parameters: ["i32", "f64", "u32", "f64"], result: "i32" },
  sp_readv: { parameters: ["i32", "f64", "u32"], result: "i32" },
  sp_writev: { parameters: ["i32", "f64", "u32"], result: "i32" },
  sp_readv_now: { parameters: ["i32", "f64", "u32"], result: "i32" },
  sp_writev_now: { parameters: ["i32", "f64", "u32"], result: "i32" },
  sp_write_buffer: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  sp_read_buffer: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  sp_fdatasync: { parameters: ["i32"], result: "i32" },
  sp_fallocate: { parameters: ["i32", "i32", "f64", "f64"], result: "i32" },
  sp_block_range: { parameters: ["i32", "i32", "f64", "f64"], result: "i32" },
  sp_stat: { parameters: ["i32", "buffer"], result: "i32" },
  sp_tap_flags: { parameters: ["i32"], result: "i32" },
  sp_tap_offload: { parameters: ["i32", "u32"], result: "i32" },
  sp_tap_attach: { parameters: ["i32", "i32"], result: "i32" },
  sp_checksum: { parameters: ["f64", "u32", "u32"], result: "i32" },
  sp_getrandom: { parameters: ["f64", "f64"], result: "i32" },

  sp_close: { parameters: ["i32"], result: "i32" },
  sp_dup: { parameters: ["i32"], result: "i32" },
  sp_set_cloexec: { parameters: ["i32"], result: "i32" },
  sp_set_nonblocking: { parameters: ["i32", "i32"], result: "i32" },
  sp_status_flags: { parameters: ["i32"], result: "i32" },
  sp_memfd: { parameters: ["buffer", "f64", "i32"], result: "i32" },
  sp_seals: { parameters: ["i32"], result: "i32" },
  sp_add_seals: { parameters: ["i32", "i32"], result: "i32" },
  sp_pipe: { parameters: ["buffer"], result: "i32" },
  sp_kind: { parameters: ["i32"], result: "i32" },

  sp_eventfd: { parameters: [], result: "i32" },
  sp_event_signal: { parameters: ["i32"], result: "i32" },
  sp_event_drain: { parameters: ["i32"], result: "f64" },
  sp_epoll_create: { parameters: [], result: "i32" },
  sp_epoll_control: { parameters: ["i32", "i32", "i32", "u32", "u32"], result: "i32" },
  sp_epoll_wait: { parameters: ["i32", "i32"], result: "i32" },
  sp_epoll_tag: { parameters: ["u32"], result: "u32" },
  sp_epoll_events: { parameters: ["u32"], result: "u32" },
  sp_epoll_collect: {
    parameters: ["i32", "buffer", "u32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  /** As sp_epoll_collect, on this thread. */
  sp_epoll_take: {
    name: "sp_epoll_collect",
    parameters: ["i32", "buffer", "u32", "i32"],
    result: "i32",
  },
  sp_poll_one: { parameters: ["i32", "i32", "i32"], result: "i32" },

  sp_send: { parameters: ["i32", "buffer", "u32", "buffer", "u32", "i32"], result: "i32" },
  sp_send_vector: { parameters: ["i32", "f64", "u32", "buffer", "u32", "i32"], result: "i32" },
  sp_receive: {
    parameters: ["i32", "buffer", "u32", "buffer", "u32", "buffer", "i32"],
    result: "i32",
  },
  sp_unread: { parameters: ["i32"], result: "i32" },
  sp_receive_piece: {
    parameters: ["i32", "f64", "u32", "buffer", "u32", "buffer"],
    result: "i32",
  },
  sp_piece: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  sp_wl_transact: { parameters: ["i32", "i32", "buffer", "u32"], result: "i32" },
  sp_wl_doorbell: { parameters: ["i32"], result: "i32" },
  sp_wl_memory: { parameters: ["i32", "f64"], result: "i32" },
  sp_accept: { parameters: ["i32"], result: "i32" },
  sp_shutdown: { parameters: ["i32", "i32"], result: "i32" },

  sp_uring_create: { parameters: ["u32", "u32", "i32", "buffer"], result: "i32" },
  sp_uring_destroy: { parameters: ["u32"], result: "i32" },
  sp_uring_transfer: { parameters: ["u32", "i32", "f64", "f64", "f64", "f64"], result: "i32" },
  sp_uring_vector: { parameters: ["u32", "i32", "f64", "u32", "f64", "f64"], result: "i32" },
  sp_uring_sync: { parameters: ["u32", "f64"], result: "i32" },
  sp_uring_submit: { parameters: ["u32", "u32"], result: "i32" },
  sp_uring_collect: { parameters: ["u32", "f64", "u32"], result: "i32" },

  sp_ignore_inspector: { parameters: [], result: "i32" },
  sp_not_dumpable: { parameters: [], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** What the monitor may call beyond that. */
export const monitorOnlySymbols = {
  sp_open: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  sp_truncate: { parameters: ["i32", "f64"], result: "i32" },
  sp_ioctl: { parameters: ["i32", "u32", "f64"], result: "i32" },
  sp_ioctl_buffer: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  sp_ioctl_window: { parameters: ["i32", "u32", "f64"], result: "i32" },
  sp_lock: { parameters: ["i32", "i32", "f64", "f64"], result: "i32" },
  sp_test_lock: { parameters: ["i32", "i32", "f64", "f64"], result: "i32" },
  sp_socket_pair: { parameters: ["i32", "buffer"], result: "i32" },
  sp_listen: { parameters: ["buffer", "i32"], result: "i32" },
  sp_connect: { parameters: ["buffer", "i32"], result: "i32" },
  sp_interface_socket: { parameters: [], result: "i32" },
  sp_try_port: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  sp_peer: { parameters: ["i32", "buffer"], result: "i32" },
  sp_redirect: { parameters: ["i32", "i32"], result: "i32" },
  sp_isatty: { parameters: ["i32"], result: "i32" },
  sp_install_kick: { parameters: [], result: "i32" },
  sp_thread_id: { parameters: [], result: "i32" },
  sp_kick: { parameters: ["i32"], result: "i32" },
  sp_kvm_run_limited: { parameters: ["i32", "u32"], result: "i32" },
  sp_save_pages: {
    parameters: ["i32", "i32", "f64", "f64", "f64"],
    result: "f64",
    nonblocking: true,
  },
  sp_fill_pages: { parameters: ["i32", "i32", "f64", "f64"], result: "f64", nonblocking: true },
  sp_spawn_starter: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  sp_reap: { parameters: ["i32"], result: "i32" },
  sp_pidfd: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** All of the shim. */
export const monitorSymbols = { ...workerSymbols, ...monitorOnlySymbols } as const;
