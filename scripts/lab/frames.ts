/** Frame types of the agent's port; agent.c has the same list. */
export const FrameType = {
  Spawn: 1,
  Stdin: 2,
  Signal: 3,
  Resize: 4,
  PowerOff: 5,
  Hello: 16,
  Stdout: 17,
  Stderr: 18,
  Exit: 19,
  Failed: 20,
} as const;

/** One frame: `type u8, 3 zero bytes, id u32, length u32, data`, little endian. */
export interface Frame {
  readonly type: number;
  /** Which command it is about; 0 for none. */
  readonly id: number;
  readonly data: Uint8Array;
}

const HEADER = 12;

/** The agent ends the machine when a frame is longer. */
export const MAX_FRAME_DATA = 65536;

/** The bytes of a frame. */
export function encodeFrame(
  type: number,
  id: number,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const bytes = new Uint8Array(HEADER + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, type);
  view.setUint32(4, id, true);
  view.setUint32(8, data.length, true);
  bytes.set(data, HEADER);
  return bytes;
}

/** Cuts a stream of bytes into frames. */
export async function* decodeFrames(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Frame> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const chunk of stream) {
    const bytes = rest.length === 0 ? chunk : joined(rest, chunk);
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at);
      const length = view.getUint32(8, true);
      if (bytes.length - at < HEADER + length) break;
      yield {
        type: view.getUint8(0),
        id: view.getUint32(4, true),
        data: bytes.slice(at + HEADER, at + HEADER + length),
      };
      at += HEADER + length;
    }
    rest = bytes.slice(at);
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** What the agent needs to start a command. */
export interface SpawnFrame {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly terminal?: { readonly rows: number; readonly columns: number };
  readonly user: boolean;
}

/** The data of a Spawn frame: four u32 and NUL-terminated texts, see agent.c. */
export function encodeSpawn(spawn: SpawnFrame): Uint8Array {
  const env = Object.entries(spawn.env).map(([key, value]) => `${key}=${value}`);
  const texts = [spawn.cwd, ...spawn.command, ...env];
  if (texts.some((text) => text.includes("\0"))) {
    throw new RangeError("a command's words cannot contain NUL");
  }
  const tail = new TextEncoder().encode(texts.map((text) => `${text}\0`).join(""));
  const bytes = new Uint8Array(16 + tail.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (spawn.terminal === undefined ? 0 : 1) | (spawn.user ? 2 : 0), true);
  view.setUint32(4, encodeSize(spawn.terminal ?? { rows: 0, columns: 0 }), true);
  view.setUint32(8, spawn.command.length, true);
  view.setUint32(12, env.length, true);
  bytes.set(tail, 16);
  return bytes;
}

/** A terminal's size as one u32: rows in the upper half. */
export function encodeSize(size: { rows: number; columns: number }): number {
  return (size.rows << 16) | size.columns;
}
