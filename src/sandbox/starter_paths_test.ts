import assert from "node:assert/strict";
import { join } from "node:path";
import {
  acceptUnix,
  leakedDescriptors,
  listenUnix,
  peerOf,
  Reactor,
  trackDescriptors,
  writeAll,
} from "../os/mod.ts";
import { Starter } from "./mod.ts";

/** Runs with a starter, and a folder that is removed. */
async function withStarter(
  body: (starter: Starter, folder: string) => Promise<void> | void,
): Promise<void> {
  const folder = Deno.makeTempDirSync();
  trackDescriptors();
  {
    using reactor = new Reactor();
    const starter = Starter.spawn(reactor);
    try {
      await body(starter, folder);
    } finally {
      await starter.close();
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  const leaks = leakedDescriptors();
  trackDescriptors(false);
  Deno.removeSync(folder, { recursive: true });
  assert.deepEqual(leaks, []);
}

const listing = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

Deno.test("a sealed starter connects to what it was told of, and to nothing else", async () => {
  await withStarter((starter, folder) => {
    const { paths } = starter;
    const path = (name: string) => join(folder, name);
    const long = join(folder, "x".repeat(120));
    Deno.mkdirSync(long);
    using owned = new DisposableStack();
    const listen = (name: string) => owned.use(listenUnix(path(name)));
    const exact = listen("exact");
    for (const name of ["other", "port_5000", "port_", "port_5000x", "place"]) listen(name);
    Deno.symlinkSync("place", path("link"));
    Deno.renameSync(path("place"), join(long, "place"));
    const connect = (path: string) => paths.connect(path)[Symbol.dispose]();
    paths.admit(path("exact"));
    paths.admit(path("gone"));
    paths.admit(path("port_"), { numbered: true });
    paths.admit(path("link"), { noLink: true });
    paths.admit(join(long, "place"));
    connect(path("other"));
    starter.seal();
    paths.admit(path("other"));
    {
      using connection = paths.connect(path("exact"));
      using accepted = acceptUnix(exact);
      assert.ok(accepted !== undefined);
      assert.equal(peerOf(accepted).pid, starter.pid);
      writeAll(connection, new TextEncoder().encode("blocks"));
    }
    connect(path("port_5000"));
    connect(join(long, "place"));
    const refused = ["other", "port_", "port_5000x", "port_../other", "./exact", "none", ""];
    for (const name of refused) {
      assert.throws(() => connect(`${folder}/${name}`), { code: "EPERM" }, name);
    }
    assert.throws(() => connect(path("gone")), {
      message: `Cannot connect to ${path("gone")}: no such file or directory`,
    });
    assert.throws(() => connect(path("link")), { code: "ECONNREFUSED" });
  });
});

Deno.test("a socket of ours goes with the starter, and the folder that it is in", async () => {
  const folder = Deno.makeTempDirSync();
  await withStarter((starter) => {
    starter.paths.admit(join(folder, "socket"), { ours: true });
    using _listening = listenUnix(join(folder, "socket"));
  });
  assert.throws(() => Deno.statSync(folder), Deno.errors.NotFound);
});

Deno.test("a snapshot's files have no name until it is complete, and never replace anything", async () => {
  await withStarter(({ paths }, folder) => {
    const path = join(folder, "saved");
    {
      using files = paths.newSnapshot(path, 2);
      writeAll(files.regions[1], new Uint8Array(3));
      assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
      assert.throws(() => paths.newSnapshot(join(folder, "second"), 1), { code: "EBUSY" });
      files.complete();
    }
    assert.deepEqual(listing(path), ["ram0", "ram1", "snapshot.json", "state.json"]);
    assert.equal(Deno.statSync(join(path, "ram1")).size, 3);
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o700);
    assert.equal((Deno.statSync(join(path, "ram1")).mode ?? 0) & 0o777, 0o600);
    const refused = (path: string, code: string, regions = 1) => {
      assert.throws(() => paths.newSnapshot(path, regions), { code }, path);
    };
    refused(path, "EEXIST");
    Deno.symlinkSync("nowhere", join(folder, "link"));
    refused(join(folder, "link"), "EEXIST");
    refused(join(folder, "none", "x"), "ENOENT");
    refused(join(path, "ram0", "x"), "ENOTDIR");
    for (const name of ["..", ".", ""]) refused(`${folder}/${name}`, "EINVAL");
    refused("relative", "EINVAL");
    refused(join(folder, "x".repeat(201)), "EINVAL");
    refused(join(folder, "many"), "EINVAL", 9);
    {
      using _abandoned = paths.newSnapshot(join(folder, "abandoned"), 1);
      assert.equal(listing(folder).length, 3);
    }
    {
      using late = paths.newSnapshot(join(folder, "late"), 1);
      Deno.writeTextFileSync(join(folder, "late"), "precious");
      assert.throws(() => late.complete(), { code: "ENOTDIR" });
    }
    assert.equal(Deno.readTextFileSync(join(folder, "late")), "precious");
    assert.deepEqual(listing(folder), ["late", "link", "saved"]);
  });
});

Deno.test("a monitor that ends leaves no half of a snapshot behind", async () => {
  const folder = Deno.makeTempDirSync();
  await withStarter(async (starter) => {
    const files = starter.paths.newSnapshot(join(folder, "saved"), 1);
    await starter.close();
    assert.throws(() => files[Symbol.dispose](), { message: /Cannot reach the starter/ });
  });
  assert.deepEqual(listing(folder), []);
  Deno.removeSync(folder);
});
