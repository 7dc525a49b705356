import assert from "node:assert/strict";
import parse from "parse-prometheus-text-format";
import { FakeVm } from "./fake_vm.ts";
import { metricsText } from "./metrics.ts";

interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly metrics: readonly { readonly value: string; readonly labels: Record<string, string> }[];
}

Deno.test("metrics are what Prometheus reads", async () => {
  const vm = await FakeVm.create("app", "/run/app");
  await vm.pause();
  const families = (parse as unknown as (text: string) => Family[])(metricsText(vm));
  const of = (name: string, labels: Record<string, string>) => {
    const family = families.find((family) => family.name === name);
    const sample = family?.metrics.find((sample) =>
      Object.entries({ vm: "app", ...labels }).every(([key, value]) => sample.labels[key] === value)
    );
    return Number(sample?.value);
  };
  assert.equal(of("spectrum_vm_state", { state: "paused" }), 1);
  assert.equal(of("spectrum_vm_state", { state: "running" }), 0);
  assert.equal(of("spectrum_vcpu_exits_total", { reason: "io" }), 12);
  assert.equal(of("spectrum_device_restarts_total", { device: "disk0" }), 1);
  // Both indices wrap at 65536.
  assert.equal(of("spectrum_queue_in_flight", { device: "disk0", queue: "0" }), 4);
  assert.ok(families.every(({ type, help }) => ["GAUGE", "COUNTER"].includes(type) && help !== ""));
});
