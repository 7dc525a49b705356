import type { Command } from "commander";
import { formatSize } from "../config/mod.ts";
import type { DeviceInfo, GroupInfo, LimitInfo, NetInfo, ProvidedInfo } from "../machine/mod.ts";
import { duration, list, printJson, table } from "./output.ts";
import { addVmCommand, withVm } from "./vm_command.ts";

/** `spectrum info NAME`: a VM and its devices. */
export function addInfoCommand(program: Command): void {
  addVmCommand(program, {
    name: "info",
    description: "show a running VM and its devices",
    examples: ["info app", "info app --json"],
  })
    .option("--json", "as data")
    .action(async (name: string, { json }: { json?: boolean }) => {
      const info = await withVm(name, (vm) => vm.info());
      if (json) return printJson(info);
      console.log(list([
        ["name", info.name],
        ["state", info.state],
        ["monitor", `process ${info.pid}`],
        ["uptime", `${duration(info.uptimeSeconds)}, since ${info.startedAt}`],
        ["vCPUs", String(info.cpus)],
        ["memory", `${info.memoryBytes / 2 ** 20} MiB`],
        ["kernel", info.kernel],
        ["cmdline", info.cmdline],
        ["resets", String(info.resets)],
        ["directory", info.runtimeDir],
        ["sandbox", info.sandbox],
        ...(info.limits === undefined ? [] : [["limits", shares(info.limits)] as const]),
      ]));
      if (info.devices.length > 0) console.log(`\n${deviceTable(info.devices)}`);
      for (const { name, away, vsock } of info.devices) {
        if (vsock !== undefined) {
          console.log(`${name} has context id ${vsock.cid} and listens at ${vsock.socket}.`);
        }
        if (away !== undefined) console.log(`${name} ${away}.`);
      }
      for (const { name, limit } of info.devices) {
        if (limit !== undefined) console.log(`${name}: ${rates(limit)}`);
      }
      for (const { name, net } of info.devices) {
        if (net !== undefined) console.log(`${name}: ${wayOut(net)}`);
      }
      if (info.provides.length > 0) console.log(`\n${providedTable(info.provides)}`);
    });
}

function deviceTable(devices: readonly DeviceInfo[]): string {
  return table(
    ["DEVICE", "KIND", "BACKEND", "STATE", "RESTARTS", "QUEUES", "PERMISSIONS"],
    devices.map(({ name, kind, backend, state, pid, restarts, queues, permissions }) => [
      name,
      kind,
      pid === undefined ? backend : `${backend} ${pid}`,
      state,
      String(restarts),
      `${queues.filter(({ enabled }) => enabled).length}/${queues.length}`,
      permissions,
    ]),
  );
}

/** What a VM may use, and how that goes, in a line. */
function shares(
  { cpu, memoryLimitBytes, memoryBytes, cpuSeconds, throttledSeconds }: GroupInfo,
): string {
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  const most = memoryLimitBytes === undefined ? "" : ` of ${mib(memoryLimitBytes)}`;
  const share = cpu === undefined
    ? ""
    : `at most ${Math.round(cpu * 100)} % of a processor, waited ${
      throttledSeconds.toFixed(1)
    } s; `;
  return `${share}used ${cpuSeconds.toFixed(1)} s and ${mib(memoryBytes)}${most}`;
}

/** A device's limit, and what it held back, in a line. */
function rates({ operations, bytes, throttled, throttledSeconds }: LimitInfo): string {
  const all = [
    ...(operations === undefined ? [] : [`${operations} requests`]),
    ...(bytes === undefined ? [] : [formatSize(bytes)]),
  ];
  return `at most ${all.join(" and ")} a second; requests waited ${throttled} times, ` +
    `${throttledSeconds.toFixed(1)} s in all`;
}

/** A network device's way out, in a line. */
function wayOut({ out, link, mac, tap, publish, passt }: NetInfo): string {
  const way = out === "tap" ? `tap ${tap}` : passt === undefined ? "passt" : `passt ${passt}`;
  const ports = publish.length === 0 ? "" : `, publishes ${publish.join(" ")}`;
  return `${way}, link ${link}, ${mac}${ports}`;
}

function providedTable(provides: readonly ProvidedInfo[]): string {
  return table(
    ["PROVIDES", "TO", "KIND", "STATE", "DETAIL"],
    provides.map(({ device, to, kind, state, detail }) => [device, to, kind, state, detail]),
  );
}
