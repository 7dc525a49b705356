import { VirtioWl } from "../../os/mod.ts";
import { virtioWlTransport } from "../../msg/mod.ts";
import { noDevice } from "./connect_error.ts";
import { Connector } from "./connector.ts";

/**
 * Connects a Unix socket of this guest to a socket of its host, until the result is disposed of.
 *
 * @param options.warn told why a connection was refused or broken off
 * @throws ConnectError when this guest has no Virtio Wayland, or somebody serves the path; OsError
 */
export function guestConnect(
  options: { readonly name: string; readonly path: string; readonly warn: (text: string) => void },
): Disposable {
  using stack = new DisposableStack();
  const wl = stack.use(openDevice());
  stack.use(
    new Connector({
      ...options,
      openContext() {
        using context = wl.context(options.name);
        return virtioWlTransport(context);
      },
    }),
  );
  return stack.move();
}

function openDevice(): VirtioWl {
  try {
    return VirtioWl.open();
  } catch (error) {
    throw noDevice(error);
  }
}
