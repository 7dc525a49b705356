import * as v from "valibot";
import { CHIP_SIZE, PIT_SIZE, vcpuPartSizes } from "../../kvm/mod.ts";

/** What a snapshot's folder holds, beside a file `ramN` for each memory region. */
export const MANIFEST = "snapshot.json";
export const STATE = "state.json";

/** Said by every snapshot of ours, and by which of its layouts; another version is not read. */
export const FORMAT = "spectrum-snapshot";
export const VERSION = 1;

const whole = v.pipe(v.number(), v.integer(), v.minValue(0));
const text = v.string();

/** The file that says what the snapshot is of. */
export const Manifest = v.object({
  format: v.literal(FORMAT),
  version: v.literal(VERSION),
  /** ISO 8601 */
  created: text,
  /** A VM's configuration, checked as one when it is used. */
  config: v.record(text, v.unknown()),
  kernel: text,
  cmdline: text,
  /** Disks of ours, as the boot plan has them. */
  disks: v.optional(v.array(
    v.strictObject({ serial: text, path: text, readonly: v.boolean() }),
  )),
  memory: v.array(v.strictObject({ guestAddress: whole, size: whole })),
  /** Of the state's file. */
  stateSha256: text,
});
export type Manifest = v.InferOutput<typeof Manifest>;

const u32 = v.pipe(whole, v.maxValue(0xffff_ffff));
const u64 = v.pipe(
  text,
  v.regex(/^0x[0-9a-f]{1,16}$/, "a 64-bit number is expected"),
  v.transform((digits) => BigInt(digits)),
);
/** Far more than any processor has; KVM refuses fewer. */
const MOST_ENTRIES = 4096;

/** Base64. */
function bytes(length?: number) {
  return v.pipe(
    text,
    v.rawTransform<string, Uint8Array>(({ dataset, addIssue, NEVER }) => {
      try {
        const data = Uint8Array.fromBase64(dataset.value);
        if (length === undefined || data.length === length) return data;
        addIssue({ message: `${data.length} bytes and not ${length}` });
      } catch {
        addIssue({ message: "base64 is expected" });
      }
      return NEVER;
    }),
  );
}

const part = (name: keyof typeof vcpuPartSizes) => bytes(vcpuPartSizes[name]);

/** A machine without its memory: MachineState in JSON. */
export const State = v.strictObject({
  clocks: v.strictObject({
    clock: u64,
    tsc: v.array(u64),
    tscOffsets: v.optional(v.array(u64)),
  }),
  tscKhz: whole,
  cpuid: v.array(v.pipe(
    v.array(v.object({
      ...{ leaf: u32, subleaf: u32, flags: u32, eax: u32, ebx: u32, ecx: u32, edx: u32 },
    })),
    v.maxLength(MOST_ENTRIES),
  )),
  vcpus: v.array(v.strictObject({
    parts: v.strictObject({
      runState: part("runState"),
      registers: part("registers"),
      systemRegisters: part("systemRegisters"),
      extendedControl: part("extendedControl"),
      debugRegisters: part("debugRegisters"),
      localApic: part("localApic"),
      events: part("events"),
    }),
    xsave: bytes(),
    msrs: v.pipe(
      v.array(v.strictObject({ index: u32, data: u64 })),
      v.maxLength(MOST_ENTRIES),
    ),
  })),
  chips: v.strictObject({ irqchips: v.tuple([chip(), chip(), chip()]), pit: bytes(PIT_SIZE) }),
  devices: v.strictObject({ layout: text, bytes: bytes() }),
});

function chip() {
  return bytes(CHIP_SIZE);
}

/** JSON of a state: bytes as base64, 64-bit numbers in hexadecimal. */
export function toJson(state: unknown): string {
  return JSON.stringify(state, (_key, value: unknown) => {
    if (typeof value === "bigint") return `0x${value.toString(16)}`;
    return value instanceof Uint8Array ? value.toBase64() : value;
  });
}
