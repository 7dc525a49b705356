import assert from "node:assert/strict";
import { busyboxInitrd } from "../../scripts/lab/userland.ts";
import { guestScript } from "../../scripts/lab/mod.ts";
import { buildUserModeKernel, cacheDir, showProgress } from "../../src/guest/mod.ts";
import { guestProgram } from "../lab/guest_program.ts";

const INIT = `
sed -n 's/.*guest\\.run=\\([^ ]*\\).*/\\1/p' /proc/cmdline | base64 -d >/root/script
sh /root/script
busybox poweroff -f
`;

/** Linux as a program, with our drivers and the kernel's own checks, and `wl_guest` in its RAM disk. */
export class UserModeGuest implements AsyncDisposable {
  readonly #kernel: string;

  /** @param folder for files of the test, until the guest is disposed of */
  private constructor(kernel: string, readonly folder: string) {
    this.#kernel = kernel;
  }

  static async build(): Promise<UserModeGuest> {
    const kernel = await buildUserModeKernel(cacheDir(), showProgress());
    const program = await guestProgram(
      "wl_guest",
      new URL("../lab/wl/wl_guest.c", import.meta.url),
    );
    const initrd = await busyboxInitrd(INIT, undefined, [program]);
    const guest = new UserModeGuest(kernel, await Deno.makeTempDir({ prefix: "spectrum-driver-" }));
    await Deno.writeFile(guest.#initrd, initrd);
    return guest;
  }

  get #initrd(): string {
    return `${this.folder}/initrd`;
  }

  /**
   * Runs a shell script in it.
   *
   * @param device socket of a vhost-user backend, and the number of such a device
   * @param limit seconds, after which it is killed
   * @returns all that it printed
   */
  async run(
    script: string,
    device: { socket: string; id: number },
    limit: number,
  ): Promise<string> {
    // Processes of the guest are some of the host's: they end with the name space that they are in.
    const namespaces = ["--pid", ...Deno.uid() === 0 ? [] : ["--user", "--map-root-user"]];
    const { code, stdout, stderr } = await new Deno.Command("timeout", {
      args: [
        ...["-s", "KILL", `${limit}`, "unshare", ...namespaces, "--fork", "--kill-child"],
        ...[this.#kernel, "mem=512M", `initrd=${this.#initrd}`],
        `virtio_uml.device=${device.socket}:${device.id}`,
        ...["con=null", "con0=null,fd:1", "panic=1", "quiet", guestScript(script)],
      ],
      stdin: "null",
    }).output();
    const [output, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.equal(code, 0, `${output}\n${said}`);
    return output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}
