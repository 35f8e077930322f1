/** The intended differences as a table for people. Pure. */
import type { Answer, Difference } from "./scenario.ts";

const columns = ["You do", "b10-transfer 0.4.1", "here", "why"];

/** As Markdown, without the alignment that a formatter adds. */
export function differenceTable(differences: readonly Difference[]): string {
  const rows = differences.map(({ scenario, peer, ours, why }) => {
    const [theirs, own] = [cell(peer, ours), cell(ours, peer)];
    return `| ${[scenario, theirs, own, why].map(escapeCell).join(" | ")} |`;
  });
  return [`| ${columns.join(" | ")} |`, `|${columns.map(() => " --- |").join("")}`, ...rows].join("\n");
}

function cell(answer: Answer, other: Answer): string {
  const texts = answer.map((line, at) => shortLine(line, other[at] ?? ""));
  return [...new Set(texts)].filter((text) => text !== "").join(", ");
}

/** "load_compile_cache: SUCCESS" is "load SUCCESS"; of objects, what the other one does not have. */
function shortLine(line: string, other: string): string {
  const [name, value] = parts(line);
  const shown = name.replace(/_(compile|local)_cache$/, "");
  const own = parseObject(value);
  if (!own) return `${shown} ${value}`;
  if ("import_raised" in own) return `the import raises ${own["import_raised"]}`;
  if ("raised" in own) return `${shown} raises ${own["raised"]}`;
  if ("exited" in own) return `${shown} exits with ${own["exited"]}`;
  const theirs = parseObject(parts(other)[1]);
  if (!theirs || "raised" in theirs) return `${shown} answers`;
  const text = (of: unknown) => JSON.stringify(of);
  const differing = Object.keys(own).filter((key) => text(own[key]) !== text(theirs[key]));
  const missing = Object.keys(theirs).filter((key) => !(key in own));
  return [
    ...differing.map((key) => `\`${key}\` ${own[key]}`),
    ...missing.map((key) => `no \`${key}\``),
  ].join(", ");
}

function parts(line: string): [name: string, value: string] {
  const colon = line.indexOf(": ");
  return [line.slice(0, colon), line.slice(colon + 2)];
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith("{")) return undefined;
  const parsed: unknown = JSON.parse(text);
  return typeof parsed === "object" && parsed !== null ? { ...parsed } : undefined;
}

function escapeCell(text: string): string {
  return text.replaceAll("|", "\\|");
}
