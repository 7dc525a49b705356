import type { Measurement } from "./measurement.ts";

/** Three digits at least, with separators from a thousand on: 26.5, 1.04, 305,000. */
function figure(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

const percent = (part: number) => `${Math.round(part * 100)} %`;

interface Column {
  readonly title: string;
  readonly right: boolean;
  cell(line: Measurement): string;
}

const columns: readonly Column[] = [
  { title: "name", right: false, cell: ({ name }) => name },
  { title: "unit", right: false, cell: ({ unit }) => unit },
  { title: "ours", right: true, cell: ({ ours }) => figure(ours) },
  { title: "peer", right: true, cell: ({ peer }) => peer === undefined ? "-" : figure(peer) },
  { title: "peer's name", right: false, cell: ({ peerName }) => peerName ?? "-" },
  {
    title: "ratio",
    right: true,
    cell: ({ ratio }) => ratio === undefined ? "-" : ratio.toFixed(2),
  },
  { title: "runs", right: true, cell: ({ runs }) => `${runs}` },
  {
    title: "spread",
    right: false,
    cell: ({ spread: { ours, peer } }) =>
      [ours, ...peer === undefined ? [] : [peer]].map(percent).join(" / "),
  },
];

/** Measurements as an aligned table with a head line; two blanks between columns, none at the ends. */
export function table(measurements: readonly Measurement[]): string {
  const rows = [
    columns.map((column) => column.title),
    ...measurements.map((line) => columns.map((column) => column.cell(line))),
  ];
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) =>
    row.map((cell, i) => columns[i].right ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))
      .join("  ").trimEnd()
  ).join("\n");
}
