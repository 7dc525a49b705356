import { installKickSignal, Reactor, Window } from "../os/mod.ts";
import { Kvm, requireRealKvm } from "../kvm/mod.ts";
import { Starter } from "../sandbox/mod.ts";

/** What one process has once, however often its VM reboots. */
export class Host implements Disposable {
  private constructor(
    readonly window: Window,
    readonly reactor: Reactor,
    readonly starter: Starter,
    readonly kvm: Kvm,
  ) {}

  /**
   * Opens KVM, makes sure that it really runs guests, and starts the starter.
   *
   * @throws {HostError} when this host cannot run a VM
   */
  static open(): Host {
    using undo = new DisposableStack();
    const kvm = undo.use(Kvm.open());
    const window = Window.reserve();
    installKickSignal();
    requireRealKvm(kvm, window);
    const reactor = undo.use(new Reactor());
    const starter = undo.use(Starter.spawn(reactor));
    undo.move();
    return new Host(window, reactor, starter, kvm);
  }

  [Symbol.dispose](): void {
    this.starter[Symbol.dispose]();
    this.reactor[Symbol.dispose]();
    this.kvm[Symbol.dispose]();
  }
}
