import type { Struct } from "../codec/mod.ts";
import { ListHead } from "./structures.ts";

/** A counted list as KVM takes it: struct kvm_cpuid2, kvm_msrs, kvm_irq_routing. */
export function encodeList<V extends object>(
  element: Struct<V>,
  values: readonly Partial<V>[],
): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(ListHead.size + values.length * element.size);
  data.set(ListHead.encode({ count: values.length }));
  values.forEach((value, i) => data.set(element.encode(value), ListHead.size + i * element.size));
  return data;
}

/** The elements that KVM left in a list. */
export function decodeList<V extends object>(element: Struct<V>, data: Uint8Array): V[] {
  const { count } = ListHead.decode(data);
  return Array.from(
    { length: count },
    (_, i) => element.decode(data.subarray(ListHead.size + i * element.size)),
  );
}
