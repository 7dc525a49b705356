// Starts a worker with a policy of nothing but what is told as its arguments, and prints what can be seen of its jail
// from outside, in the order of the questions below.
//
// The jail does not know devices, so this one takes any script: the worker waits for ever for its set-up.

import { payload, Reactor, socketPair } from "../../os/mod.ts";
import { type Policy, type SandboxMode, Starter, workerEnvironment } from "../mod.ts";

const { policy, sandbox } = JSON.parse(Deno.args[0]) as { policy: Policy; sandbox: SandboxMode };

const kinds = ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user"];

function namespacesOf(pid: number | "self"): string[] {
  return kinds.map((kind) => Deno.readLinkSync(`/proc/${pid}/ns/${kind}`));
}

function filesBelow(folder: string, inside = ""): string[] {
  return [...Deno.readDirSync(folder + inside)].flatMap(({ name, isDirectory }) => {
    const path = `${inside}/${name}`;
    return isDirectory && path !== "/proc" ? filesBelow(folder, path) : [path];
  });
}

const isAlive = (pid: number) => {
  try {
    return !/^State:\s*Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

// Some hosts have it, and it is not the jail's.
Deno.umask(0o077);
const reactor = new Reactor();
const starter = Starter.spawn(reactor, sandbox);
const [ours, theirs] = socketPair();
const options = {
  argv: [...payload().device, "rng"],
  env: workerEnvironment(),
  descriptors: [{ fd: theirs, as: 3 }],
  policy,
};
const child = await starter.start(options);
const own = namespacesOf("self");
const theirNamespaces = namespacesOf(child.pid);
const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
const limits = Deno.readTextFileSync(`/proc/${child.pid}/limits`);
const mounts = Deno.readTextFileSync(`/proc/${child.pid}/mountinfo`).trim().split("\n");
const field = (name: string) => new RegExp(`^${name}:[ \t]*(.*?) *$`, "m").exec(status)?.[1];
const limit = (name: string) => new RegExp(`^Max ${name} +(\\S+) +(\\S+)`, "m").exec(limits)?.[2];
const report = {
  pid: child.pid,
  starter: starter.pid,
  parent: Number(field("PPid")),
  /** Namespaces that are not ours. */
  separate: kinds.filter((_, i) => own[i] !== theirNamespaces[i]),
  users: field("Uid")?.split("\t").map(Number),
  groups: field("Gid")?.split("\t").map(Number),
  moreGroups: field("Groups"),
  capabilities: ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(field),
  noNewPrivileges: field("NoNewPrivs"),
  innerPid: field("NSpid")?.split("\t").at(-1),
  limits: {
    data: limit("data size"),
    processes: limit("processes"),
    queues: limit("msgqueue size"),
    niceness: limit("nice priority"),
    realTime: limit("realtime priority"),
  },
  isRootApart: theirNamespaces[0] !== own[0],
  files: theirNamespaces[0] === own[0] ? [] : filesBelow(`/proc/${child.pid}/root`),
  writable: mounts.filter((line) => !/^ro[, ]/.test(line.split(" ")[5])).map((line) =>
    line.split(" ")[4]
  ),
};
child.kill();
const end = await child.exited;
const orphan = await starter.start(options);
Deno.kill(starter.pid, "SIGKILL");
await orphan.exited;
let outlives = true;
for (let i = 0; i < 300 && outlives; i++) {
  outlives = isAlive(orphan.pid);
  await new Promise((resolve) => setTimeout(resolve, 10));
}
await starter.close();
for (const fd of [ours, theirs]) fd[Symbol.dispose]();
reactor[Symbol.dispose]();
console.log(JSON.stringify({ ...report, end, outlives }));
