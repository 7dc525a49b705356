import { type Fd, memfd, type Owned, PAGE_SIZE, Window } from "../../../src/os/mod.ts";
import { FILES } from "./workload.ts";

/** Memory that can be told apart by the number that stands in it, whichever side of which border made it. */
export class NumberedFiles {
  readonly #window = Window.reserve(2 ** 30);
  readonly #place = this.#window.allocate(PAGE_SIZE);

  /** One of each. @param make makes memory of a size */
  make(make: (size: number) => Owned<Fd> = (size) => memfd("file", size)): Owned<Fd>[] {
    return Array.from({ length: FILES }, (_, i) => {
      const file = make(PAGE_SIZE * (i + 1));
      this.#window.mapFd(this.#place, PAGE_SIZE, file, 0);
      this.#window.view.setUint32(this.#place, i + 1, true);
      this.#window.unmap(this.#place, PAGE_SIZE);
      return file;
    });
  }

  /** Which of them a descriptor is; -1 for new memory. */
  numberOf(fd: Fd): number {
    this.#window.mapFd(this.#place, PAGE_SIZE, fd, 0, { write: false });
    const number = this.#window.view.getUint32(this.#place, true);
    this.#window.unmap(this.#place, PAGE_SIZE);
    return number - 1;
  }
}
