/** Lines over two axes. Pure. */
import { scaleLinear, scaleLog } from "d3-scale";
import { line } from "d3-shape";
import { colours, element, faintInk, label, picture } from "./svg.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Line {
  readonly name: string;
  readonly points: readonly Point[];
  /** Lines of one group have one colour. */
  readonly group: number;
  readonly dashed?: true;
}

export interface Axis {
  readonly title: string;
  readonly kind: "linear" | "log";
  /** Where something is written; by default the scale chooses. */
  readonly ticks?: readonly number[];
  readonly format: (value: number) => string;
}

export interface LineChart {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
}

const width = 760;
const height = 400;
const margin = { left: 70, right: 230, top: 16, bottom: 50 };
const tickCount = 6;
const nameHeight = 15;

export function lineChart({ title, x, y, lines }: LineChart): string {
  const points = lines.flatMap((one) => one.points);
  const scaleX = scaleOf(x, points.map((point) => point.x), [
    margin.left,
    width - margin.right,
  ]);
  const scaleY = scaleOf(y, points.map((point) => point.y), [
    height - margin.bottom,
    margin.top,
  ]);
  const path = line(
    ({ x: at }: Point) => scaleX.place(at),
    ({ y: at }: Point) => scaleY.place(at),
  );
  const drawn = lines.map((one) =>
    element("path", {
      d: path(one.points) ?? "",
      fill: "none",
      stroke: colourOf(one),
      "stroke-width": 2,
      ...(one.dashed ? { "stroke-dasharray": "5 4" } : {}),
    })
  );
  return picture(
    { width, height, title },
    ...scaleX.ticks.map((value) => tickBelow(scaleX.place(value), x.format(value))),
    ...scaleY.ticks.map((value) => tickBeside(scaleY.place(value), y.format(value))),
    label(x.title, {
      x: (margin.left + width - margin.right) / 2,
      y: height - 10,
      "text-anchor": "middle",
    }),
    label(y.title, {
      transform: `translate(14 ${(margin.top + height - margin.bottom) / 2}) rotate(-90)`,
      "text-anchor": "middle",
    }),
    ...drawn,
    ...names(lines, scaleY.place),
  );
}

interface Scale {
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
}

function scaleOf(
  { kind, ticks }: Axis,
  values: readonly number[],
  range: [number, number],
): Scale {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const scale = kind === "log"
    ? scaleLog().domain([least, most]).range(range).nice()
    : scaleLinear().domain([0, most]).range(range).nice();
  const decades = (scale.ticks() as number[]).filter((value) => Number.isInteger(Math.log10(value)));
  const chosen: readonly number[] = kind === "log" ? decades : scale.ticks(tickCount);
  return { place: (value) => Number(scale(value)), ticks: ticks ?? chosen };
}

function tickBelow(x: number, text: string): string {
  const bottom = height - margin.bottom;
  return element(
    "g",
    {},
    rule({ x1: x, x2: x, y1: margin.top, y2: bottom }),
    label(text, { x, y: bottom + 18, "text-anchor": "middle" }),
  );
}

function tickBeside(y: number, text: string): string {
  return element(
    "g",
    {},
    rule({ x1: margin.left, x2: width - margin.right, y1: y, y2: y }),
    label(text, { x: margin.left - 8, y: y + 4, "text-anchor": "end" }),
  );
}

function rule(
  ends: Readonly<Record<"x1" | "x2" | "y1" | "y2", number>>,
): string {
  return element("line", { ...ends, stroke: faintInk, "stroke-width": 0.5 });
}

/** Beside the ends of their lines, and apart from each other. */
function names(
  lines: readonly Line[],
  place: (value: number) => number,
): string[] {
  let above = -Infinity;
  return [...lines].map((one) => ({
    one,
    y: place(one.points.at(-1)?.y ?? 0) + 4,
  })).sort((a, b) => a.y - b.y)
    .map(({ one, y }) => {
      above = Math.max(y, above + nameHeight);
      return label(one.name, {
        x: width - margin.right + 8,
        y: above,
        fill: colourOf(one),
      });
    });
}

function colourOf({ group }: Line): string {
  return colours[group % colours.length] ?? colours[0];
}
