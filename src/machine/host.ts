import { installKickSignal, Reactor, Window } from "../os/mod.ts";
import { Kvm, requireRealKvm } from "../kvm/mod.ts";
import { type SandboxMode, Starter } from "../sandbox/mod.ts";

/** A process can reserve only one; all its VMs share it. */
let theWindow: Window | undefined;

/** What one process has once, however often its VM reboots. */
export class Host implements AsyncDisposable {
  private constructor(
    readonly window: Window,
    readonly reactor: Reactor,
    readonly starter: Starter,
    readonly kvm: Kvm,
  ) {}

  /**
   * Opens KVM, makes sure that it really runs guests, and starts the starter.
   *
   * @param real whether a KVM that only emulates is refused
   * @param sandbox how much of a jail workers get
   * @throws {HostError} when this host cannot run a VM
   */
  static open(real = true, sandbox: SandboxMode = "full"): Host {
    using undo = new DisposableStack();
    const kvm = undo.use(Kvm.open());
    const window = theWindow ??= Window.reserve();
    installKickSignal();
    if (real) requireRealKvm(kvm, window);
    const reactor = undo.use(new Reactor());
    const starter = undo.use(Starter.spawn(reactor, sandbox));
    undo.move();
    return new Host(window, reactor, starter, kvm);
  }

  /** Resolves when the starter is gone, too: the reactor has to turn until its end was seen. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.starter.close();
    this.reactor[Symbol.dispose]();
    this.kvm[Symbol.dispose]();
  }
}
