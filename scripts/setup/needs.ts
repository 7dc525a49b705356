/** What a package is needed for. A task names the purposes that it has. */
export type Purpose = "build" | "guest" | "lab" | "test" | "bench" | "kernel";

/** A Debian package, and how to tell that what we want of it is there. */
export interface Need {
  readonly package: string;
  readonly purposes: readonly Purpose[];
  /** What we use it for, for those who are asked to install it. */
  readonly why: string;
  /** Programs of it that we run. */
  readonly programs?: readonly string[];
  /** Other files of it that we use. */
  readonly files?: readonly string[];
  /** Its programs must be static, since they run in guests that have no libraries. */
  readonly isStatic?: boolean;
}

/** All that we use beside Node's npm and what every Debian has. */
export const needs: readonly Need[] = [
  {
    package: "gcc",
    purposes: ["build", "kernel"],
    why: "compiles the native library",
    programs: ["gcc"],
  },
  {
    package: "libc6-dev",
    purposes: ["build", "kernel"],
    why: "headers and the static C library",
    files: [
      "/usr/include/stdio.h",
      "/usr/include/linux/kvm.h",
      "/usr/lib/x86_64-linux-gnu/libc.a",
    ],
  },
  {
    package: "busybox-static",
    purposes: ["guest", "lab"],
    why: "the programs of small guests",
    programs: ["busybox"],
    isStatic: true,
  },
  {
    package: "e2fsprogs",
    purposes: ["guest", "lab", "test"],
    why: "makes and checks ext4 images",
    programs: ["mke2fs", "e2fsck", "debugfs"],
  },
  {
    package: "qemu-system-x86",
    purposes: ["lab", "test", "bench"],
    why: "the lab, and a foreign frontend to test against",
    programs: ["qemu-system-x86_64", "qemu-storage-daemon"],
  },
  {
    package: "qemu-utils",
    purposes: ["test"],
    why: "a foreign program that locks images",
    programs: ["qemu-img", "qemu-io"],
  },
  {
    package: "fio",
    purposes: ["test", "bench"],
    why: "loads disks and verifies their data",
    programs: ["fio"],
  },
  {
    package: "passt",
    purposes: ["lab", "test", "bench"],
    why: "networks of guests, without privileges",
    programs: ["passt"],
  },
  {
    package: "iperf3",
    purposes: ["lab", "bench"],
    why: "loads networks",
    programs: ["iperf3"],
  },
  {
    package: "acpica-tools",
    purposes: ["test"],
    why: "reads our ACPI tables",
    programs: ["iasl"],
  },
  {
    package: "python3-minimal",
    purposes: ["test"],
    why: "a foreign process that locks files",
    programs: ["python3"],
  },
  {
    package: "iproute2",
    purposes: ["lab", "test", "bench"],
    why: "makes taps in a network namespace",
    programs: ["ip"],
  },
  {
    package: "cpio",
    purposes: ["test"],
    why: "reads the archives that we write",
    programs: ["cpio"],
  },
  ...["make", "flex", "bison", "bc"].map((name): Need => ({
    package: name,
    purposes: ["kernel", "test"],
    why: "builds a kernel",
    programs: [name],
  })),
  {
    package: "xz-utils",
    purposes: ["kernel", "test"],
    why: "unpacks the kernel's source",
    programs: ["xz"],
  },
  {
    package: "lz4",
    purposes: ["kernel", "test"],
    why: "compresses the kernel",
    programs: ["lz4"],
  },
  {
    package: "libelf-dev",
    purposes: ["kernel", "test"],
    why: "builds a kernel",
    files: ["/usr/include/gelf.h"],
  },
  {
    package: "tmux",
    purposes: ["test"],
    why: "a terminal that is resized while a command runs",
    programs: ["tmux"],
    files: ["/lib/terminfo/s/screen"],
  },
  {
    package: "weston",
    purposes: ["test"],
    why: "a Wayland compositor for guests to reach",
    programs: ["weston"],
    files: ["/usr/lib/x86_64-linux-gnu/libweston-10/headless-backend.so"],
  },
  {
    package: "wayland-utils",
    purposes: ["test"],
    why: "a Wayland client",
    programs: ["wayland-info"],
  },
  {
    package: "mmdebstrap",
    purposes: ["test"],
    why: "makes root file systems",
    programs: ["mmdebstrap"],
  },
  {
    package: "erofs-utils",
    purposes: ["test"],
    why: "reads the images that we write",
    programs: ["fsck.erofs"],
  },
];
