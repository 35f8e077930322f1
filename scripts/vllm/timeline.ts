/** timeline.ts: draws docs/vllm-timeline.svg, a cold and a restored start, from docs/vllm-results.json. */
import * as fs from "node:fs";
import * as path from "node:path";
import * as v from "valibot";
import { projectDir } from "../project.ts";

const resultsSchema = v.object({
  results: v.array(v.object({
    name: v.string(),
    readyS: v.number(),
    verdict: v.string(),
    savedS: v.nullable(v.number()),
    moments: v.array(v.object({ s: v.number(), what: v.string() })),
  })),
});

type Result = v.InferOutput<typeof resultsSchema>["results"][number];

/** What goes on until a moment is told, by the moment's name. */
const phases: Readonly<Record<string, { readonly label: string; readonly color: string }>> = {
  load: { label: "load", color: "#1a7f37" },
  engine: { label: "Python, imports", color: "#c8ccd1" },
  weights: { label: "weights", color: "#9fb3c8" },
  compile: { label: "model, compile cache", color: "#f0b429" },
  ready: { label: "compile, warm-up", color: "#de911d" },
  proof: { label: "until quiet", color: "#e1e4e8" },
  save: { label: "save", color: "#1a7f37" },
};

const width = 900;
const left = 150;
const laneHeight = 46;
const top = 34;

function segments(result: Result): { from: number; to: number; phase: string }[] {
  const found: { from: number; to: number; phase: string }[] = [];
  let from = 0;
  for (const { s, what } of [...result.moments].sort((a, b) => a.s - b.s)) {
    if (!(what in phases) || s <= from) continue;
    found.push({ from, to: s, phase: what });
    from = s;
  }
  return found;
}

function draw(lanes: readonly { readonly label: string; readonly result: Result }[]): string {
  const endS = Math.max(...lanes.map(({ result }) => segments(result).at(-1)?.to ?? 0));
  const x = (s: number) => left + (s / endS) * (width - left - 20);
  const parts: string[] = [];
  for (const [at, { label, result }] of lanes.entries()) {
    const y = top + at * (laneHeight + 26);
    parts.push(`<text x="8" y="${y + 20}" class="lane">${label}</text>`);
    parts.push(`<text x="8" y="${y + 36}" class="note">${result.verdict}</text>`);
    for (const { from, to, phase } of segments(result)) {
      const style = phases[phase];
      if (!style) continue;
      parts.push(
        `<rect x="${x(from).toFixed(1)}" y="${y}" width="${
          Math.max(x(to) - x(from), 1).toFixed(1)
        }" height="${laneHeight}" ` +
          `fill="${style.color}"><title>${style.label}: ${(to - from).toFixed(2)} s</title></rect>`,
      );
      if (x(to) - x(from) > 70) {
        parts.push(`<text x="${(x(from) + 6).toFixed(1)}" y="${y + 27}" class="note">${style.label}</text>`);
      }
    }
    const ready = x(result.readyS);
    parts.push(
      `<line x1="${ready.toFixed(1)}" x2="${ready.toFixed(1)}" y1="${y - 6}" y2="${
        y + laneHeight + 6
      }" class="ready"/>`,
    );
    parts.push(
      `<text x="${(ready - 4).toFixed(1)}" y="${y - 9}" class="time" text-anchor="end">ready ${
        result.readyS.toFixed(1)
      } s</text>`,
    );
  }
  const height = top + lanes.length * (laneHeight + 26) + 16;
  for (let s = 0; s <= endS; s += 10) {
    parts.push(
      `<text x="${x(s).toFixed(1)}" y="${height - 6}" class="note" text-anchor="middle">${s} s</text>`,
    );
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif">
<style>.lane{font-size:14px;font-weight:bold}.note{font-size:11px;fill:#24292f}.time{font-size:13px;font-weight:bold}.ready{stroke:#24292f;stroke-width:2}</style>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${parts.join("\n")}
</svg>
`;
}

function middle(results: readonly Result[]): Result | undefined {
  return [...results].sort((a, b) => a.readyS - b.readyS)[Math.floor(results.length / 2)];
}

const docs = path.join(projectDir, "docs");
const { results } = v.parse(
  resultsSchema,
  JSON.parse(fs.readFileSync(path.join(docs, "vllm-results.json"), "utf8")),
);
const cold = results.find(({ name }) => name === "run, cold: saves");
const restored = middle(results.filter(({ name }) => name.startsWith("run, restored on a new pod")));
if (!cold || !restored) throw new Error("docs/vllm-results.json lacks a cold and a restored start");
const svg = draw([{ label: "first replica", result: cold }, { label: "every other one", result: restored }]);
fs.writeFileSync(path.join(docs, "vllm-timeline.svg"), svg);
