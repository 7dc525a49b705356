/** Signals of Linux on x86-64 by number, signal(7). */
const NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPWR: 30,
  SIGSYS: 31,
};

/** The highest signal that there is. */
export const MAX_SIGNAL = 64;

/** The number of a signal. @throws {TypeError} when there is none of that name */
export function signalNumber(name: string): number {
  const number = NUMBERS[name];
  if (number === undefined) throw new TypeError(`There is no signal ${name}.`);
  return number;
}

/** The name of a signal; of a real-time signal `SIG` and its number. */
export function signalName(number: number): string {
  return Object.keys(NUMBERS).find((name) => NUMBERS[name] === number) ?? `SIG${number}`;
}
