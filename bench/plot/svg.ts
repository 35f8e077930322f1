/** SVG as text. Pure. */

type Attributes = Readonly<Record<string, string | number>>;

/** An element that holds others. */
export function element(
  name: string,
  attributes: Attributes,
  ...children: readonly string[]
): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(print(value))}"`).join(
    "",
  );
  return children.length > 0 ? `<${name}${written}>${children.join("")}</${name}>` : `<${name}${written}/>`;
}

/** A line of text at a place. */
export function label(text: string, attributes: Attributes): string {
  return element("text", attributes, escape(text));
}

/** A whole picture. It has no background, and `ink` is read on light and on dark pages. */
export function picture(
  { width, height, title }: { width: number; height: number; title: string },
  ...children: readonly string[]
): string {
  const attributes = {
    xmlns: "http://www.w3.org/2000/svg",
    viewBox: `0 0 ${print(width)} ${print(height)}`,
    width,
    height,
    role: "img",
    "font-family": "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif",
    "font-size": 13,
    fill: ink,
  };
  return element(
    "svg",
    attributes,
    element("title", {}, escape(title)),
    ...children,
  );
}

/** Of texts and axes: a contrast of more than 4 on white and on GitHub's dark pages. */
export const ink = "#768390";

export const faintInk = "#7683905a";

/** This program's. */
export const accent = "#e8590c";

/** Of others, in this order. */
export const colours = [
  accent,
  "#1c7ed6",
  "#2f9e44",
  "#ae3ec9",
  "#c9940a",
  "#0c9aa8",
] as const;

function print(value: string | number): string {
  return typeof value === "number" ? String(Math.round(value * 100) / 100) : value;
}

function escape(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")
    .replace(/"/g, "&quot;");
}
