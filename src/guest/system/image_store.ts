import { join } from "node:path";
import { isAbandoned, namesIn, readIfThere, replaceFile, unlessMissing } from "./files.ts";
import { ImageError } from "./image_error.ts";
import {
  type ImageRecord,
  type OverlayRecord,
  parseImageRecord,
  parseOverlayRecord,
} from "./image_record.ts";

const RECORD = ".json";
const OVERLAY_RECORD = "overlay.json";

/** An image with those who have to do with it. */
export interface ListedImage extends ImageRecord {
  /** Path of its base. */
  readonly path: string;
  /** VMs that keep changes on top of it. */
  readonly vms: readonly ListedOverlay[];
}

/** What a VM keeps. */
export interface ListedOverlay extends OverlayRecord {
  readonly vm: string;
  /** Bytes that it takes on the disk. */
  readonly bytes: number;
}

/**
 * Images and what VMs wrote on top of them, below a data folder: `images/NAME.json` says what an image is,
 * `images/base/HASH.erofs` is its content, `vms/NAME/` what a VM keeps. A base stays as long as an image or a VM needs it.
 */
export class ImageStore {
  constructor(readonly dataDir: string) {}

  get #images(): string {
    return join(this.dataDir, "images");
  }

  /** Folder of the bases. What is being made is there, too, under a name that begins with a dot. */
  get bases(): string {
    return join(this.#images, "base");
  }

  basePath(hash: string): string {
    return join(this.bases, `${hash}.erofs`);
  }

  vmDir(vm: string): string {
    return join(this.dataDir, "vms", vm);
  }

  /** Makes the folders: only their owner may look, since an image may hold secrets. */
  async make(): Promise<void> {
    await Deno.mkdir(this.bases, { recursive: true, mode: 0o700 });
  }

  async find(name: string): Promise<ImageRecord | undefined> {
    const path = this.#recordPath(name);
    const text = await readIfThere(path);
    return text === undefined ? undefined : parseImageRecord(text, path);
  }

  /** Gives a name to a base, in place of the one that it may have had. */
  async set(record: ImageRecord): Promise<void> {
    await replaceFile(this.#recordPath(record.name), `${JSON.stringify(record, undefined, 2)}\n`);
  }

  async overlay(vm: string): Promise<OverlayRecord | undefined> {
    const path = join(this.vmDir(vm), OVERLAY_RECORD);
    const text = await readIfThere(path);
    return text === undefined ? undefined : parseOverlayRecord(text, path);
  }

  async setOverlay(vm: string, record: OverlayRecord): Promise<void> {
    await replaceFile(join(this.vmDir(vm), OVERLAY_RECORD), `${JSON.stringify(record)}\n`);
  }

  async list(): Promise<ListedImage[]> {
    const overlays = await this.#overlays();
    return (await this.#records()).map((record) => ({
      ...record,
      path: this.basePath(record.base),
      vms: overlays.filter(({ image }) => image === record.name),
    }));
  }

  /**
   * Takes an image's name away, and its base when nobody else needs it.
   *
   * @throws {ImageError} when there is none, or a VM keeps changes on top of it
   */
  async remove(name: string): Promise<void> {
    using _lock = await this.lock();
    if (await this.find(name) === undefined) throw await this.missing(name);
    const vms = (await this.#overlays()).filter(({ image }) => image === name);
    if (vms.length > 0) {
      const names = vms.map(({ vm }) => vm);
      throw new ImageError(
        "usage",
        `Cannot remove the image "${name}": VMs keep changes on top of it: ${names.join(", ")}. ` +
          `Throw those away first: spectrum image reset ${names.join(" ")}`,
      );
    }
    await Deno.remove(this.#recordPath(name));
    await this.collect();
  }

  /**
   * Throws away what a VM wrote.
   *
   * @throws {ImageError} when it keeps nothing, or runs
   */
  async reset(vm: string, isRunning: () => boolean): Promise<void> {
    using _lock = await this.lock();
    if (await this.overlay(vm) === undefined) {
      throw new ImageError("usage", `The VM "${vm}" keeps no changes on top of an image.`);
    }
    if (isRunning()) {
      throw new ImageError("usage", `The VM "${vm}" runs. Stop it first: spectrum stop ${vm}`);
    }
    await Deno.remove(this.vmDir(vm), { recursive: true });
    await this.collect();
  }

  /** Removes bases that nobody needs any more. The caller has the lock. */
  async collect(): Promise<void> {
    const needed = new Set(
      [...await this.#records(), ...await this.#overlays()].map(({ base }) => `${base}.erofs`),
    );
    for (const name of await namesIn(this.bases)) {
      const path = join(this.bases, name);
      if (needed.has(name) || name.startsWith(".") && !await isAbandoned(path)) continue;
      await unlessMissing(Deno.remove(path));
    }
  }

  /** The error for a name that no image has. */
  async missing(name: string): Promise<ImageError> {
    const others = (await this.#records()).map((record) => record.name);
    const have = others.length === 0 ? "" : ` There are: ${others.join(", ")}.`;
    return new ImageError(
      "usage",
      `There is no image "${name}" on this machine.${have} Build it: spectrum image build ${name}`,
    );
  }

  /** Held for moments, by whoever changes what refers to what. */
  async lock(): Promise<Disposable> {
    await this.make();
    return await locked(join(this.#images, ".lock"));
  }

  /** Held while an image is built. */
  async lockName(name: string, onWait: () => void): Promise<Disposable> {
    await this.make();
    return await locked(join(this.#images, `.${name}.lock`), onWait);
  }

  async #records(): Promise<ImageRecord[]> {
    const records: ImageRecord[] = [];
    for (const file of await namesIn(this.#images)) {
      if (!file.endsWith(RECORD)) continue;
      const record = await this.find(file.slice(0, -RECORD.length));
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  async #overlays(): Promise<ListedOverlay[]> {
    const overlays: ListedOverlay[] = [];
    for (const vm of await namesIn(join(this.dataDir, "vms"))) {
      const record = await this.overlay(vm);
      if (record === undefined) continue;
      const stat = await unlessMissing(Deno.stat(join(this.vmDir(vm), "overlay.img")));
      overlays.push({ ...record, vm, bytes: (stat?.blocks ?? 0) * 512 });
    }
    return overlays;
  }

  #recordPath(name: string): string {
    return join(this.#images, `${name}${RECORD}`);
  }
}

/** A lock on a file, which is made where it is missing; it ends with the process at the latest. */
async function locked(path: string, onWait?: () => void): Promise<Disposable> {
  const file = await Deno.open(path, { create: true, write: true, mode: 0o600 });
  if (!await file.tryLock(true)) {
    onWait?.();
    await file.lock(true);
  }
  return file;
}
