/** Horizontal bars in panels, one scale for each panel. Pure. */
import { scaleLinear } from "d3-scale";
import { accent, element, faintInk, ink, label, picture } from "./svg.ts";

export interface Bar {
  readonly name: string;
  readonly value: number;
  /** The value in words. */
  readonly text: string;
  readonly isOurs: boolean;
}

export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const width = 760;
const namesWidth = 250;
const textsWidth = 100;
const titleHeight = 34;
const rowHeight = 22;
const barHeight = 14;
const gapHeight = 16;

/** The panels below each other, each with its bars from the shortest to the longest. */
export function barChart(title: string, panels: readonly Panel[]): string {
  let top = 0;
  const drawn = panels.map((panel) => {
    const group = element(
      "g",
      { transform: `translate(0 ${top})` },
      ...drawPanel(panel),
    );
    top += titleHeight + panel.bars.length * rowHeight + gapHeight;
    return group;
  });
  return picture({ width, height: top, title }, ...drawn);
}

function drawPanel({ title, bars }: Panel): string[] {
  const longest = Math.max(...bars.map(({ value }) => value));
  const lengthOf = scaleLinear().domain([0, longest]).range([
    0,
    width - namesWidth - textsWidth,
  ]);
  const sorted = [...bars].sort((a, b) => a.value - b.value);
  return [
    label(title, { x: 0, y: titleHeight / 2 + 4, "font-weight": "bold" }),
    ...sorted.flatMap(({ name, value, text, isOurs }, row) => {
      const y = titleHeight + row * rowHeight;
      const baseline = y + barHeight - 3;
      const colour = isOurs ? accent : ink;
      const weight = isOurs ? "bold" : "normal";
      return [
        label(name, {
          x: namesWidth - 10,
          y: baseline,
          "text-anchor": "end",
          "font-weight": weight,
          fill: colour,
        }),
        element("rect", {
          x: namesWidth,
          y,
          width: Math.max(lengthOf(value), 1),
          height: barHeight,
          rx: 2,
          fill: isOurs ? accent : faintInk,
        }),
        label(text, {
          x: namesWidth + lengthOf(value) + 6,
          y: baseline,
          "font-weight": weight,
          fill: colour,
        }),
      ];
    }),
  ];
}
