import type { GroupInfo, VmControl, VmState } from "../machine/mod.ts";

const STATES: readonly VmState[] = ["starting", "running", "paused", "stopping", "ended"];

type Labels = Readonly<Record<string, string | number>>;

/** One metric: what it means, and its samples. */
interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly samples: readonly (readonly [labels: Labels, value: number])[];
}

/** The counters of a VM in Prometheus' text format 0.0.4. */
export function metricsText(vm: VmControl): string {
  const { name } = vm.info();
  return metrics(vm).map((metric) => format(metric, name)).join("");
}

function metrics(vm: VmControl): Metric[] {
  const info = vm.info();
  const gauge = (name: string, help: string, value: number): Metric => (
    { name, type: "gauge", help, samples: [[{}, value]] }
  );
  const { devices } = info;
  const queues = devices.flatMap(({ name, queues }) =>
    queues.map((queue) => [{ device: name, queue: queue.index }, queue] as const)
  );
  return [
    {
      name: "spectrum_vm_state",
      type: "gauge",
      help: "1 for the state that the VM is in.",
      samples: STATES.map((state) => [{ state }, state === info.state ? 1 : 0]),
    },
    gauge(
      "spectrum_vm_start_time_seconds",
      "When the VM was started, since the epoch.",
      Date.parse(info.startedAt) / 1000,
    ),
    gauge("spectrum_vm_cpus", "Number of vCPUs.", info.cpus),
    gauge("spectrum_vm_memory_bytes", "Memory of the guest.", info.memoryBytes),
    {
      name: "spectrum_vm_resets_total",
      type: "counter",
      help: "How often the guest has rebooted.",
      samples: [[{}, info.resets]],
    },
    {
      name: "spectrum_vcpu_exits_total",
      type: "counter",
      help: "Exits of all vCPUs to the monitor, by KVM's reason.",
      samples: Object.entries(vm.exits()).map(([reason, count]) => [{ reason }, count]),
    },
    gauge(
      "spectrum_monitor_resident_memory_bytes",
      "Resident memory of the monitor, with what it has touched of the guest's.",
      Deno.memoryUsage().rss,
    ),
    {
      name: "spectrum_device_connected",
      type: "gauge",
      help: "1 while the device has a backend.",
      samples: devices.map(({ name, kind, backend, state }) => [
        { device: name, kind, backend },
        state === "connected" ? 1 : 0,
      ]),
    },
    {
      name: "spectrum_device_restarts_total",
      type: "counter",
      help: "How often the device's backend was replaced.",
      samples: devices.map(({ name, restarts }) => [{ device: name }, restarts]),
    },
    ...(info.limits === undefined ? [] : groupMetrics(info.limits)),
    {
      name: "spectrum_device_throttled_total",
      type: "counter",
      help: "How often requests had to wait for the device's limit.",
      samples: devices.flatMap(({ name, limit }) =>
        limit === undefined ? [] : [[{ device: name }, limit.throttled] as const]
      ),
    },
    {
      name: "spectrum_device_throttled_seconds_total",
      type: "counter",
      help: "How long there were requests that waited for the device's limit.",
      samples: devices.flatMap(({ name, limit }) =>
        limit === undefined ? [] : [[{ device: name }, limit.throttledSeconds] as const]
      ),
    },
    {
      name: "spectrum_net_link",
      type: "gauge",
      help: "1 while there is something at the other end of a network device.",
      samples: devices.flatMap(({ name, net }) =>
        net === undefined
          ? []
          : [[{ device: name, out: net.out }, net.link === "up" ? 1 : 0] as const]
      ),
    },
    {
      name: "spectrum_queue_enabled",
      type: "gauge",
      help: "1 while the driver uses the queue.",
      samples: queues.map(([labels, { enabled }]) => [labels, enabled ? 1 : 0]),
    },
    {
      name: "spectrum_queue_in_flight",
      type: "gauge",
      help: "Descriptor chains that the device has and has not given back.",
      samples: queues.map(([labels, { available, used }]) => [labels, (available - used) & 0xffff]),
    },
  ];
}

function groupMetrics(
  { memoryBytes, cpuSeconds, throttled, throttledSeconds }: GroupInfo,
): Metric[] {
  const one = (name: string, type: Metric["type"], help: string, value: number): Metric => (
    { name: `spectrum_limits_${name}`, type, help, samples: [[{}, value]] }
  );
  return [
    one("memory_bytes", "gauge", "Memory of all processes of the VM.", memoryBytes),
    one("cpu_seconds_total", "counter", "Processor time of all processes of the VM.", cpuSeconds),
    one("throttled_total", "counter", "How often they waited for their share.", throttled),
    one("throttled_seconds_total", "counter", "How long they waited.", throttledSeconds),
  ];
}

function format({ name, type, help, samples }: Metric, vm: string): string {
  const lines = samples.map(([labels, value]) => {
    const all = Object.entries({ vm, ...labels })
      .map(([label, text]) => `${label}="${escape(String(text))}"`).join(",");
    return `${name}{${all}} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
