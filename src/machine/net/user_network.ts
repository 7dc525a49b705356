import { type Fd, OsError, type Owned } from "../../os/mod.ts";
import { BackOff } from "../back_off.ts";
import { MachineError } from "../outcome.ts";
import { Passt, type PasstOptions, type PasstPlan, planPasst } from "./passt.ts";

/** How long an ended stream waits for the news of passt's end, in milliseconds. */
const NEWS_MS = 200;

/** Whose network it is, and who is told of its ups and downs. */
export interface UserNetworkOptions extends PasstOptions {
  /** The stream has ended, or the next attempt at one has failed; a sentence. */
  readonly onLost: (detail: string) => void;
  /** There is a stream again. It stays ours. */
  readonly onFound: (stream: Fd, detail: string) => void;
}

/**
 * A device's way to the host's network through passt: started for the first worker, kept for its successors, and
 * started again when it ends.
 */
export class UserNetwork implements Disposable {
  readonly #options: UserNetworkOptions;
  readonly #backOff = new BackOff();
  readonly #plan: PasstPlan;
  #passt: Passt | undefined;
  #hasEnded = false;
  /** Also the worker's; here it is watched for its end. */
  #stream: Owned<Fd> | undefined;
  #since = 0;
  #isAway = false;
  #over = false;
  #wake = () => {};

  /** @throws {MachineError} when this host has no passt */
  constructor(options: UserNetworkOptions) {
    this.#options = options;
    this.#plan = planPasst(options);
  }

  /** Process of passt. */
  get pid(): number | undefined {
    return this.#hasEnded ? undefined : this.#passt?.child.pid;
  }

  /** The one that is there. */
  get stream(): Fd | undefined {
    return this.#stream;
  }

  /**
   * A stream for a new worker, whose predecessor has ended; undefined while passt is away, and told when it is back.
   *
   * @throws {MachineError} when passt cannot be started for the first one
   */
  async open(): Promise<Fd | undefined> {
    this.#close();
    if (this.#isAway) return undefined;
    if (this.#passt === undefined) await this.#start();
    try {
      return this.#connect();
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      void this.#lose();
    }
  }

  async #start(): Promise<void> {
    this.#passt?.[Symbol.dispose]();
    this.#passt = undefined;
    const passt = await Passt.start(this.#plan, this.#options);
    if (this.#over) {
      passt[Symbol.dispose]();
      throw new MachineError("host", "The VM has ended.");
    }
    this.#passt = passt;
    this.#hasEnded = false;
    void passt.child.exited.then(() => {
      if (this.#passt === passt) this.#hasEnded = true;
    });
  }

  #connect(): Fd {
    if (this.#passt === undefined) throw new Error("passt was not started");
    const stream = this.#stream = this.#passt.connect();
    this.#since = performance.now();
    // Only that the other end is gone.
    this.#options.starter.reactor.add(stream, () => {
      if (this.#stream === stream) void this.#lose();
    }, 0);
    return stream;
  }

  #close(): void {
    this.#stream?.[Symbol.dispose]();
    this.#stream = undefined;
  }

  /** Tells of the end of a stream, and looks for another until there is one. */
  async #lose(): Promise<void> {
    this.#close();
    this.#isAway = true;
    this.#backOff.failed(performance.now() - this.#since);
    const began = performance.now();
    const how = await this.#howItEnded();
    this.#tell(`${how}; the link is down`);
    while (!this.#over) {
      await this.#pause();
      if (this.#over) return;
      try {
        if (this.#hasEnded) await this.#start();
        const stream = this.#connect();
        this.#isAway = false;
        const after = Math.round(performance.now() - began);
        this.#options.onFound(stream, `passt is back after ${after} ms; the link is up`);
        return;
      } catch (error) {
        if (!(error instanceof MachineError || error instanceof OsError)) throw error;
        this.#backOff.failed();
        this.#tell(error.message.replace(/\.$/, ""));
      }
    }
  }

  async #howItEnded(): Promise<string> {
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), NEWS_MS);
    const end = await Promise.race([this.#passt?.child.exited, late.promise]);
    clearTimeout(timer);
    if (end === undefined) return "passt has closed the stream";
    return "signal" in end
      ? `passt ended by signal ${end.signal}`
      : `passt ended with status ${end.status}`;
  }

  #tell(what: string): void {
    if (this.#over) return;
    const { failures, pause } = this.#backOff;
    // The first, and then ever more rarely.
    if ((failures & (failures - 1)) !== 0) return;
    this.#options.onLost(`${what}; the next attempt is in ${pause} ms`);
  }

  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, this.#backOff.pause);
    await promise;
    clearTimeout(timer);
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#wake();
    this.#close();
    this.#passt?.[Symbol.dispose]();
    this.#plan.place[Symbol.dispose]();
  }
}
