import assert from "node:assert/strict";
import { ConfigError, formatSize, parseConfig, parseSize, readConfig } from "./mod.ts";

const parse = (toml: string) => parseConfig(toml, "/etc/vms/app.toml");
const refusal = async (toml: string) => {
  const error = await parse(toml).then(() => undefined, (error) => error);
  assert.ok(error instanceof ConfigError, `accepted, or failed otherwise: ${error}`);
  return error.message;
};

Deno.test("a configuration gets its defaults, and paths relative to its file", async () => {
  const config = await parse(`
    name = "app"
    kernel = "debian"
    root = "disk0"
    memory = "1.5G"
    [[disk]]
    path = "root.img"
    readonly = true
    [[disk]]
    path = "/data.img"
    cache = "none"
    [console]
    to = "log.txt"
  `);
  assert.equal(config.memory, 1536 * 2 ** 20);
  assert.equal(config.cpus, 1);
  assert.deepEqual(config.disk[0], { path: "/etc/vms/root.img", readonly: true, cache: "auto" });
  assert.equal(config.disk[1].path, "/data.img");
  assert.deepEqual(config.console, { to: "/etc/vms/log.txt", device: "serial" });
  const plain = await parse(`kernel = "bzImage"`);
  assert.equal(plain.kernel, "/etc/vms/bzImage");
  assert.equal(plain.name, "app");
});

Deno.test("a VM with an image has the small kernel, random numbers and sockets without saying so", async () => {
  const config = await parse('image = "web"\noverlay = "1G"');
  assert.deepEqual([config.kernel, config.image, config.overlay, config.disposable], [
    ...["small", "web", 2 ** 30, false],
  ]);
  assert.deepEqual(config.rng, {});
  assert.ok((config.vsock?.cid ?? 0) >= 3);
  const own = await parse('image = "web"\nkernel = "debian"\n[vsock]\ncid = 77');
  assert.deepEqual([own.kernel, own.vsock?.cid], ["debian", 77]);
  const disk = '\n[[disk]]\npath = "a.img"';
  assert.match(
    await refusal(`image = "web"\nroot = "disk0"${disk}`),
    /root: the image is the root/,
  );
  assert.match(await refusal('image = "web"\ninitrd = "i"'), /initrd: an image is booted by/);
  assert.match(await refusal('kernel = "k"\noverlay = "1G"'), /overlay: .* on top of an image/);
  assert.match(await refusal('kernel = "k"\ndisposable = true'), /disposable: .* on top of an/);
  assert.match(await refusal('image = "web"\noverlay = "1M"'), /overlay: at least 64M/);
  assert.match(await refusal('image = "Web"'), /image: use at most 20/);
});

Deno.test("what is provided goes over Virtio Wayland, with doorbells unless the file says otherwise", async () => {
  const provides = '[[provides]]\nto = "app"\ndevice = "disk1"\nkind = "blk"\npath = "/dev/vda"\n';
  const config = await parseConfig(`kernel = "small"\n${provides}`, "diskvm.toml");
  assert.deepEqual(config.provides, [
    { to: "app", device: "disk1", kind: "blk", path: "/dev/vda", readonly: false, cache: "none" },
  ]);
  assert.equal(config.wl?.doorbells, 128);
  const without = await parseConfig(`kernel = "small"\nwl.doorbells = 0\n${provides}`, "a.toml");
  assert.deepEqual([without.wl?.doorbells, without.wl?.vfds], [0, 1024]);
});

Deno.test("a disk's limit has a burst of a second unless it says otherwise", async () => {
  const { disk } = await parse(
    'kernel = "k"\n[[disk]]\npath = "p"\nlimit = { iops = 500, bandwidth = "50M" }',
  );
  assert.deepEqual(disk[0].limit, { iops: 500, bandwidth: 50 * 2 ** 20, burst: 1 });
});

Deno.test("a guest's context id follows from the VM's name, unless it is said or the backend is elsewhere", async () => {
  const cid = async (toml: string) => (await parse(`kernel = "k"\n${toml}`)).vsock?.cid;
  const first = await cid("[vsock]");
  assert.ok(first !== undefined && first >= 3);
  assert.equal(await cid("[vsock]"), first);
  assert.notEqual(await cid('name = "b"\n[vsock]'), first);
  assert.equal(await cid("[vsock]\ncid = 5"), 5);
  assert.equal(await cid('[vsock]\nprovider = "vm:b"'), undefined);
});

Deno.test("Virtio Wayland: defaults, sockets by name, paths relative to the file", async () => {
  const { wl } = await parse('kernel = "k"\n[wl.sockets]\nwayland = "auto"\ntest = "t.sock"');
  assert.deepEqual(wl, {
    sockets: { wayland: "auto", test: "/etc/vms/t.sock" },
    region: 2 ** 37,
    memory: 2 ** 30,
    vfds: 1024,
    contexts: 64,
  });
  const many = await parse('kernel = "k"\n[wl]\ndoorbells = 1024');
  assert.equal(many.wl?.doorbells, 1024);
  const foreign = await parse('kernel = "k"\n[wl]\nsocket = "wl.sock"\nregion = "1G"');
  assert.equal(foreign.wl?.socket, "/etc/vms/wl.sock");
  assert.equal(foreign.wl?.region, 2 ** 30);
});

const refused: [what: string, toml: string, message: RegExp][] = [
  [
    "unknown key",
    `kernel = "debian"\nmemroy = "1G"`,
    /^\/etc\/vms\/app.toml:2: memroy: unknown key "memroy"; did you mean "memory"\?$/,
  ],
  [
    "unknown key of a disk",
    `kernel = "debian"\n[[disk]]\npath = "a"\n[[disk]]\npath = "b"\nreadonyl = true`,
    /app.toml:6: disk\[1\].readonyl: unknown key "readonyl"; did you mean "readonly"\?$/,
  ],
  ["a far key gets no suggestion", `kernel = "debian"\nxyzzy = 1`, /unknown key "xyzzy"$/],
  [
    "unknown key of wl",
    `kernel = "k"\n[wl]\nvdfs = 1`,
    /app.toml:3: wl.vdfs: unknown key "vdfs"; did you mean "vfds"\?$/,
  ],
  [
    "a socket to be found by itself",
    `kernel = "k"\n[wl.sockets]\ntest = "auto"`,
    /wl.sockets.test: only "wayland" can be found/,
  ],
  ["a name with spaces", `kernel = "k"\n[wl.sockets]\n"a b" = "/x"`, /1 to 32 characters/],
  [
    "sockets of a foreign backend",
    `kernel = "k"\n[wl]\nsocket = "x"\nsockets.a = "/a"`,
    /wl.sockets: a backend that somebody else runs/,
  ],
  ["an odd region", `kernel = "k"\n[wl]\nregion = "5M"`, /wl.region: the region comes in steps/],
  ["too many descriptors", `kernel = "k"\n[wl]\nvfds = 9999`, /wl.vfds: at most 8192/],
  ["too many doorbells", `kernel = "k"\n[wl]\ndoorbells = 1025`, /wl.doorbells: at most 1024/],
  [
    "a provider that is the VM itself",
    `kernel = "k"\n[[disk]]\nprovider = "vm:app"`,
    /disk\[0\].provider: a VM cannot provide its own devices/,
  ],
  [
    "a provided disk that is to be read-only",
    `kernel = "k"\n[[disk]]\nprovider = "vm:d"\nreadonly = true`,
    /app.toml:4: disk\[0\].readonly: that is up to the backend/,
  ],
  [
    "a provider that is no VM",
    `kernel = "k"\n[[disk]]\nprovider = "diskvm"`,
    /disk\[0\].provider: "vm:" and the name of a VM is expected/,
  ],
  [
    "what is provided to the VM itself",
    `kernel = "k"\n[[provides]]\nto = "app"\ndevice = "rng"\nkind = "rng"`,
    /app.toml:3: provides\[0\].to: a VM cannot provide its own devices/,
  ],
  [
    "a device that is provided twice",
    `kernel = "k"\n${'[[provides]]\nto = "b"\ndevice = "rng"\nkind = "rng"\n'.repeat(2)}`,
    /provides\[1\]: rng of "b" is provided already/,
  ],
  [
    "an unknown kind of what is provided",
    `kernel = "k"\n[[provides]]\nto = "b"\ndevice = "rng"\nkind = "gpu"`,
    /app.toml:5: provides\[0\].kind: "blk", "rng", "console", "net" or "vsock" is expected/,
  ],
  [
    "an unknown key of what is provided",
    `kernel = "k"\n[[provides]]\nto = "b"\ndevice = "disk0"\nkind = "blk"\npath = "/dev/vda"\nreadonyl = true`,
    /app.toml:7: provides\[0\].readonyl: unknown key "readonyl"; did you mean "readonly"\?/,
  ],
  [
    "a provided disk that is a relative path",
    `kernel = "k"\n[[provides]]\nto = "b"\ndevice = "disk0"\nkind = "blk"\npath = "vda"`,
    /provides\[0\].path: an absolute path, inside this VM, is expected/,
  ],
  [
    "a provided console that is the serial line",
    `kernel = "k"\n[console]\nprovider = "vm:b"`,
    /console.provider: only the console backend can be elsewhere: device = "virtio"/,
  ],
  [
    "a context id that is the host's",
    `kernel = "k"\n[vsock]\ncid = 2`,
    /vsock.cid: 0 to 2 are not for guests/,
  ],
  [
    "a context id for a backend elsewhere",
    `kernel = "k"\n[vsock]\nprovider = "vm:b"\ncid = 7`,
    /vsock.cid: that is up to the backend in the other VM/,
  ],
  [
    "a limit for a disk whose backend is elsewhere",
    `kernel = "k"\n[[disk]]\nprovider = "vm:b"\nlimit = { iops = 5 }`,
    /disk\[0\].limit: only our own worker on this host limits a disk/,
  ],
  [
    "a limit of nothing",
    `kernel = "k"\n[[disk]]\npath = "p"\nlimit = { bandwidth = "0" }`,
    /disk\[0\].limit.bandwidth: at least 4K a second are needed/,
  ],
  ["missing kernel", `name = "x"`, /app.toml: kernel: this key is required$/],
  [
    "disk of nothing",
    `kernel = "k"

[[disk]]
`,
    /app.toml:3: disk\[0\]: give exactly one of path/,
  ],
  [
    "disk of two things",
    `kernel = "k"
disk = [{ path = "a", socket = "b" }]`,
    /app.toml:2: disk\[0\]: give exactly one of path/,
  ],
  [
    "wrong type",
    `kernel = "debian"\ncpus = "two"`,
    /app.toml:2: cpus: a number of vCPUs is expected$/,
  ],
  [
    "too many vCPUs",
    `kernel = "debian"\ncpus = 9`,
    /app.toml:2: cpus: at most 8 vCPUs are possible$/,
  ],
  ["bad size", `kernel = "debian"\nmemory = "lots"`, /app.toml:2: memory: a size such as/],
  ["tiny memory", `kernel = "debian"\nmemory = "4K"`, /app.toml:2: memory: at least 1M/],
  ["bad name", `kernel = "debian"\nname = "My VM"`, /app.toml:2: name: use at most 20/],
  [
    "root without disk",
    `kernel = "debian"\nroot = "disk0"`,
    /root: there is no disk0; the disks are: none$/,
  ],
  ["not TOML", `kernel = debian`, /app.toml:1:\d+: this is not TOML: /],
  ["inline table", `kernel = "k"\nconsole = { tp = "none" }`, /app.toml:2: console.tp: .* "to"\?$/],
];
for (const [what, toml, message] of refused) {
  Deno.test(`refused: ${what}`, async () => assert.match(await refusal(toml), message));
}

Deno.test("a mistake is told whichever TOML its file is", async () => {
  const table = `kernel = "k"\n[limits]\nmemory = -1\n[[disk]]\npath = "x"\n`;
  // TOML 1.1: lines and a comma at the end of an inline table.
  assert.match(await refusal(`${table}limit = {\n iops = 5,\n}`), /app.toml:3: limits.memory: /);
  // What only the parser without positions takes.
  assert.match(await refusal(`${table}# \ud800`), /app.toml: limits.memory: /);
});

Deno.test("what the command line sets replaces the file, and is named in errors", async () => {
  const config = await parseConfig(`kernel = "debian"\ncpus = 2`, "a.toml", { cpus: 4 });
  assert.equal(config.cpus, 4);
  await assert.rejects(
    parseConfig(`kernel = "debian"`, "a.toml", { cpus: 99 }),
    /^ConfigError: command line: cpus: at most 8/,
  );
});

Deno.test("sizes are powers of 1024 and whole bytes", () => {
  assert.equal(parseSize("512M"), 512 * 2 ** 20);
  assert.equal(parseSize("2GiB"), 2 ** 31);
  assert.equal(parseSize("0.5K"), 512);
  assert.equal(parseSize("1.0001K"), undefined);
  assert.equal(parseSize("-1M"), undefined);
  assert.equal(formatSize(1536 * 2 ** 20), "1536M");
  assert.equal(formatSize(1000), "1000");
});

Deno.test("a file that has no end is not read to it", async () => {
  await assert.rejects(readConfig("/dev/zero"), {
    message: "/dev/zero: cannot read the configuration: it has more than 1048576 bytes",
  });
  await assert.rejects(readConfig("/tmp"), /cannot read the configuration: Is a directory/);
});

Deno.test("a key that every object has is unknown like any other, and where it is written", async () => {
  await assert.rejects(parseConfig('kernel = "debian"\nconstructor = 1\n', "app.toml"), {
    message: /^app\.toml:2: constructor: unknown key "constructor"/,
  });
});
