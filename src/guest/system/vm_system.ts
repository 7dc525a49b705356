import { join } from "node:path";
import { run, tryRun } from "../run.ts";
import { unlessMissing } from "./files.ts";
import { ImageError } from "./image_error.ts";
import type { ImageRecord } from "./image_record.ts";
import type { ImageStore } from "./image_store.ts";

/** Bytes that a VM may write when nobody says otherwise; they are taken only when it does. */
const STANDARD_SIZE = 10 * 2 ** 30;

/** What a VM with an image is to have. */
export interface SystemOptions {
  readonly vm: string;
  readonly image: string;
  /** What it writes is thrown away at its end. */
  readonly disposable: boolean;
  /** The most that it may write, in bytes. */
  readonly size?: number;
}

/** Features of the file system that every kernel of ours knows, whatever this host's mke2fs would choose. */
const FEATURES = [
  ...["has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "64bit"],
  ...["flex_bg", "sparse_super", "large_file", "huge_file", "dir_nlink", "extra_isize"],
  "metadata_csum",
];

/** The disks of a VM with an image: the base, which many share, and the overlay, which holds what the VM wrote. */
export class VmSystem {
  /** Path of the base. */
  readonly base: string;
  /** Path of the overlay. */
  readonly overlay: string;
  /** What the user should know: that there is a newer build than the one that the VM goes on with. */
  readonly note?: string;
  readonly #store: ImageStore;
  readonly #options: SystemOptions;
  readonly #hash: string;

  private constructor(store: ImageStore, options: SystemOptions, hash: string, note?: string) {
    this.base = store.basePath(hash);
    this.overlay = join(
      store.vmDir(options.vm),
      options.disposable ? "disposable.img" : "overlay.img",
    );
    this.note = note;
    this.#store = store;
    this.#options = options;
    this.#hash = hash;
  }

  /**
   * Looks what a VM boots: the newest build of its image, or, when it keeps changes, the one that those are on top of.
   *
   * @throws {ImageError} when there is no such image, or the VM's changes are on top of another
   */
  static async find(store: ImageStore, options: SystemOptions): Promise<VmSystem> {
    const { vm, image, disposable } = options;
    const record = await store.find(image);
    const kept = disposable ? undefined : await store.overlay(vm);
    if (kept !== undefined && kept.image !== image) {
      throw new ImageError(
        "usage",
        `The VM "${vm}" keeps changes on top of the image "${kept.image}", not of "${image}". ` +
          `Throw them away: spectrum image reset ${vm}. Or give the VM another name.`,
      );
    }
    const hash = kept?.base ?? record?.base;
    if (hash === undefined) throw await store.missing(image);
    const system = new VmSystem(store, options, hash, kept && newer(vm, kept.base, record));
    if (await unlessMissing(Deno.stat(system.base)) === undefined) {
      throw new ImageError(
        "host",
        `The content of the image "${image}", ${system.base}, is missing. ` +
          `Build it again: spectrum image build ${image}`,
      );
    }
    return system;
  }

  /**
   * Makes the overlay where there is none, and larger where it is to be.
   *
   * @throws {ImageError} when it cannot be made, or is to be smaller
   */
  async makeReady(): Promise<void> {
    const { vm, image, disposable, size } = this.#options;
    using _lock = await this.#store.lock();
    await Deno.mkdir(this.#store.vmDir(vm), { recursive: true, mode: 0o700 });
    if (disposable) return await makeOverlay(this.overlay, size ?? STANDARD_SIZE);
    if (await this.#store.overlay(vm) === undefined) {
      // First of all, so that the base stays.
      const created = new Date().toISOString();
      await this.#store.setOverlay(vm, { image, base: this.#hash, created });
    }
    const present = await unlessMissing(Deno.stat(this.overlay));
    if (present === undefined) await makeOverlay(this.overlay, size ?? STANDARD_SIZE);
    else if (size !== undefined && size < present.size) {
      throw new ImageError(
        "usage",
        `The overlay of the VM "${vm}" has ${present.size} bytes and cannot become smaller. ` +
          `Leave overlay as it was, or throw the VM's changes away: spectrum image reset ${vm}`,
      );
    } else if (size !== undefined && size > present.size) await Deno.truncate(this.overlay, size);
  }
}

function newer(vm: string, base: string, record: ImageRecord | undefined): string | undefined {
  if (record === undefined || record.base === base) return undefined;
  return `there is a newer build of the image "${record.name}", of ${record.built}; this VM goes on with the one that ` +
    `its changes are on top of. To begin anew with the newer: spectrum image reset ${vm}`;
}

/** An empty file system of which next to nothing is on the disk; init makes the folders in it. */
async function makeOverlay(path: string, size: number): Promise<void> {
  const temporary = `${path}.new`;
  await Deno.writeFile(temporary, new Uint8Array(0), { mode: 0o600 });
  await Deno.truncate(temporary, size);
  const program = await findMke2fs();
  const { success, stderr } = await run(program, [
    ...["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-m", "0"],
    ...["-O", `none,${FEATURES.join(",")}`, "-L", "spectrum-overlay"],
    // The file holds zeros as it is.
    ...["-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0", temporary],
  ]);
  if (!success) {
    await Deno.remove(temporary);
    throw new ImageError("host", `Cannot make the overlay ${path}: mke2fs failed.`, stderr.trim());
  }
  await Deno.rename(temporary, path);
}

/** Not in the PATH of an ordinary user. */
async function findMke2fs(): Promise<string> {
  for (const program of ["mke2fs", "/usr/sbin/mke2fs", "/sbin/mke2fs"]) {
    if (await tryRun(program, ["-V"]) !== undefined) return program;
  }
  throw new ImageError(
    "host",
    "Cannot make the disk for what the VM writes: there is no mke2fs on this machine. " +
      "Install the package e2fsprogs.",
  );
}
