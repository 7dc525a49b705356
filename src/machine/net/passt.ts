import { changeMode, type Fd, openFile, OsError, type Owned, pipe } from "../../os/mod.ts";
import { type Child, type Starter, StartError } from "../../sandbox/mod.ts";
import { limited } from "../../vhost/mod.ts";
import type { Log } from "../log.ts";
import { MachineError } from "../outcome.ts";
import { findProgram } from "./find_program.ts";
import { hostResolvers } from "./host_resolvers.ts";
import { passtArguments, type PasstConfig } from "./passt_arguments.ts";
import { passtPolicy } from "./passt_policy.ts";
import { SpokenLines } from "./spoken_lines.ts";

/** passt holds a descriptor for each connection of the guest. */
const OPEN_FILES = 65_536;
/** It may be slow to start on a busy host, in milliseconds. */
const PATIENCE_MS = 30_000;
/** Between two looks whether it listens. */
const LOOK_MS = 5;
/** What it says of every line without a syslog, what it advises, and that it read no file for what it was told. */
const NOISE =
  /^Failed to send \d+ bytes to syslog|qemu|qrap|^kvm|^UNIX domain socket|nameserver address$/;

/** What a run of passt needs. */
export interface PasstOptions {
  readonly starter: Starter;
  readonly config: PasstConfig;
  /** Name of the device that it is for. */
  readonly device: string;
  readonly log: Log;
}

/** How passt is started for a device, each time alike: a sealed starter starts nothing else. */
export interface PasstPlan {
  /** The program by its path, and its arguments. */
  readonly argv: readonly string[];
  readonly place: PrivatePlace;
}

/** @throws {MachineError} when it is not installed, or there is no place for its socket */
export function planPasst({ starter, config, device, log }: PasstOptions): PasstPlan {
  const program = requireProgram(device);
  const resolvers = hostResolvers();
  if (resolvers.loopback !== undefined && config.dns === undefined) {
    log.warn(
      `the host's resolver ${resolvers.loopback} may be out of the guest's reach; name another: dns = ["ADDRESS"]`,
    );
  }
  const place = PrivatePlace.make(starter, device);
  const argv = [program, ...passtArguments(place.socket, config, resolvers)];
  return { argv, place };
}

/**
 * One process of passt, which connects a guest to the host's network with the rights of an ordinary program. It serves
 * one stream after the other, and keeps the guest's connections meanwhile.
 */
export class Passt implements Disposable {
  readonly child: Child;
  readonly #place: PrivatePlace;
  /** The stream by which we saw that it listens. */
  #first: Owned<Fd> | undefined;

  private constructor(child: Child, place: PrivatePlace, first: Owned<Fd>) {
    this.child = child;
    this.#place = place;
    this.#first = first;
  }

  /**
   * Starts it, and waits until it listens.
   *
   * @throws {MachineError} when it ends, with what it said
   */
  static async start(
    { argv, place }: PasstPlan,
    { starter, device, log }: PasstOptions,
  ): Promise<Passt> {
    using _open = place.open();
    const [output, theirs] = pipe();
    using given = theirs;
    const warn = limited((line) => log.warn(`passt: ${line}`));
    const said = new SpokenLines(output, starter.reactor, (line) => {
      if (!NOISE.test(line)) warn(line);
    });
    let child: Child;
    try {
      child = await starter.start({
        argv,
        env: {},
        stderr: given,
        policy: passtPolicy,
        openFiles: OPEN_FILES,
      });
    } catch (error) {
      said[Symbol.dispose]();
      if (!(error instanceof StartError)) throw error;
      throw new MachineError("host", `Cannot run passt for ${device}: ${error.message}.`);
    }
    const first = await whenListening(child, place);
    if (first !== undefined) return new Passt(child, place, first);
    child.kill();
    await child.exited;
    const words = said.last.filter((line) => !NOISE.test(line)).join("; ");
    const reason = words === "" ? "it ended without a word" : words;
    throw new MachineError("host", `passt cannot serve ${device}: ${reason}.`);
  }

  /** A stream for one worker; the one before has to be closed. @throws OsError when passt is gone */
  connect(): Owned<Fd> {
    const first = this.#first;
    this.#first = undefined;
    return first ?? this.#place.connect();
  }

  [Symbol.dispose](): void {
    this.child.kill();
    this.#first?.[Symbol.dispose]();
  }
}

function requireProgram(device: string): string {
  const program = findProgram("passt");
  if (program !== undefined) return program;
  throw new MachineError(
    "host",
    `The device ${device} needs passt, which is not installed: sudo apt-get install passt. ` +
      'Or let it be an interface of the host: out = "tap".',
  );
}

/** A stream to a passt that listens; undefined when it ends before it does, or does not come so far. */
async function whenListening(
  child: Child,
  place: PrivatePlace,
): Promise<Owned<Fd> | undefined> {
  let ended = false;
  void child.exited.then(() => ended = true);
  const until = performance.now() + PATIENCE_MS;
  while (!ended && performance.now() < until) {
    const stream = place.look();
    if (stream !== undefined) return stream;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/**
 * A directory for the socket alone, in `/tmp`, where Debian's AppArmor profile lets passt make one. It is ours alone, but
 * while passt starts, which is another user where we are root. It goes with the starter.
 */
class PrivatePlace implements Disposable {
  readonly socket: string;
  readonly #directory: Owned<Fd>;
  readonly #starter: Starter;

  private constructor(path: string, starter: Starter) {
    this.#directory = openFile(path, { directory: true, noFollow: true });
    this.#starter = starter;
    this.socket = `${path}/socket`;
    starter.paths.admit(this.socket, { noLink: true, ours: true });
  }

  /** @throws {MachineError} */
  static make(starter: Starter, device: string): PrivatePlace {
    const path = `/tmp/spectrum-passt-${crypto.randomUUID()}`;
    try {
      Deno.mkdirSync(path, { mode: 0o700 });
      return new PrivatePlace(path, starter);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new MachineError("host", `Cannot make a place for the passt of ${device}: ${reason}`);
    }
  }

  /** Lets passt make its socket there, until what is returned is disposed of. */
  open(): Disposable {
    if (Deno.uid() === 0) changeMode(this.#directory, 0o733);
    return { [Symbol.dispose]: () => changeMode(this.#directory, 0o700) };
  }

  /** @throws OsError */
  connect(): Owned<Fd> {
    return this.#starter.paths.connect(this.socket);
  }

  look(): Owned<Fd> | undefined {
    try {
      return this.connect();
    } catch (error) {
      if (error instanceof OsError && ["ENOENT", "ECONNREFUSED"].includes(error.code)) return;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#directory[Symbol.dispose]();
  }
}
