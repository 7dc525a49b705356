/** What a worker was told is not usable; the message says which part and why. */
export class ArgumentError extends Error {
  override readonly name = "ArgumentError";
}

/** Option names of each kind of device; a flag takes no value, the others take one. */
const options: Readonly<Record<string, Readonly<Record<string, "flag" | "value">>>> = {
  blk: {
    "--disk-fd": "value",
    "--readonly": "flag",
    "--cache": "value",
    "--queues": "value",
    "--serial": "value",
  },
  rng: {},
  console: { "--in-fd": "value", "--out-fd": "value" },
};

/** Those of every kind. With `--report` a worker tells what its lock leaves it, and ends. */
const common = { "--fd": "value", "--listen-fd": "value", "--report": "flag" } as const;

/** The arguments of a worker, taken apart: a kind of device, then options. */
export class WorkerArguments {
  readonly kind: string;
  readonly #values = new Map<string, string>();

  /** @throws ArgumentError for an unknown kind or option, or a value that is missing */
  constructor(words: readonly string[]) {
    const [kind = "", ...rest] = words;
    if (!Object.hasOwn(options, kind)) {
      throw new ArgumentError(`"${kind}" is no kind of device; there are: ${kinds()}`);
    }
    this.kind = kind;
    const known = { ...common, ...options[kind] };
    while (rest.length > 0) {
      const name = rest.shift() ?? "";
      const form = Object.hasOwn(known, name) ? known[name as keyof typeof known] : undefined;
      if (form === undefined) throw new ArgumentError(`${kind} has no option ${name}`);
      const value = form === "flag" ? "" : rest.shift();
      if (value === undefined) throw new ArgumentError(`${name} needs a value`);
      this.#values.set(name, value);
    }
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string): string | undefined {
    return this.#values.get(name);
  }

  /** The value of an option as a number; undefined when it is not given. */
  number(name: string): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    if (!/^[0-9]{1,9}$/.test(text)) throw new ArgumentError(`${name} needs a number, not ${text}`);
    return Number(text);
  }

  /** As {@link number}, of an option that must be there. */
  required(name: string): number {
    const value = this.number(name);
    if (value === undefined) throw new ArgumentError(`${this.kind} needs ${name}`);
    return value;
  }
}

function kinds(): string {
  return Object.keys(options).join(", ");
}
