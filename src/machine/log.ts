/** Severity of a log line; `debug` is silent unless asked for. */
export type LogLevel = "debug" | "info" | "warn" | "error";

const ORDER: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/**
 * Where log lines go, and which. Guest console output never passes here.
 *
 * @example
 * ```ts
 * const options: LogOptions = { format: "text", level: "warn" };
 * ```
 */
export interface LogOptions {
  readonly format: "text" | "json";
  readonly level: LogLevel;
  /** Receives one finished line without its newline; standard error by default. */
  readonly write?: (line: string) => void;
}

/**
 * Structured log lines: level, component, VM name, message, and fields of the writer's choice.
 *
 * @example
 * ```ts
 * const lines: string[] = [];
 * const log = new Log({ format: "json", level: "info", write: (line) => lines.push(line) });
 * log.for({ vm: "app" }).warn("a disk is slow", { device: "disk0" });
 * console.log(JSON.parse(lines[0]).message);
 * ```
 */
export class Log {
  readonly #options: LogOptions;
  readonly #context: { vm?: string; component?: string };

  constructor(options: LogOptions, context: { vm?: string; component?: string } = {}) {
    this.#options = options;
    this.#context = context;
  }

  /** The same log for another VM or part of one. */
  for(context: { vm?: string; component?: string }): Log {
    return new Log(this.#options, { ...this.#context, ...context });
  }

  debug(message: string, fields?: Record<string, unknown>): void {
    this.#line("debug", message, fields);
  }
  info(message: string, fields?: Record<string, unknown>): void {
    this.#line("info", message, fields);
  }
  warn(message: string, fields?: Record<string, unknown>): void {
    this.#line("warn", message, fields);
  }
  error(message: string, fields?: Record<string, unknown>): void {
    this.#line("error", message, fields);
  }

  #line(level: LogLevel, message: string, fields: Record<string, unknown> = {}): void {
    const { format, level: least, write = toStderr } = this.#options;
    if (ORDER.indexOf(level) < ORDER.indexOf(least)) return;
    if (format === "json") {
      const time = new Date().toISOString();
      write(JSON.stringify({ time, level, ...this.#context, message, ...fields }));
      return;
    }
    const { vm, component } = this.#context;
    const origin = [vm, component].filter((part) => part !== undefined).join("/");
    const extra = Object.entries(fields).map(([key, value]) => ` ${key}=${value}`).join("");
    write(`${level === "info" ? "" : `${level}: `}${origin && `${origin}: `}${message}${extra}`);
  }
}

function toStderr(line: string): void {
  // A raw terminal does not return the carriage by itself.
  const bytes = new TextEncoder().encode(line + (Deno.stderr.isTerminal() ? "\r\n" : "\n"));
  try {
    for (let done = 0; done < bytes.length;) done += Deno.stderr.writeSync(bytes.subarray(done));
  } catch {
    // Nobody reads it any more; a VM does not end for that.
  }
}
