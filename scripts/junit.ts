/** Counts of tests and what the failed ones say, from the JUnit reports that `deno test` and `bun test` write. Pure. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface TestCase {
  /** As in the report, where ">" is escaped. */
  readonly name: string;
  /** The file, or with Bun the groups around it. */
  readonly classname: string;
  outcome: keyof Counts;
  /** What a failed one says. */
  said: string;
}

/** A failed test tells its error and the lines around it; one that compares large data tells all of that. */
const maxSaidChars = 2_000;

export const noTests: Counts = { passed: 0, failed: 0, skipped: 0 };

export function addCounts(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/**
 * Counts the tests of one report. Deno also lists each group of tests as a case of its own; such a group counts
 * only where it failed although none of its tests did.
 */
export function countTests(xml: string): Counts {
  const tests = parseTests(xml);
  const count = (outcome: keyof Counts) => tests.filter((test) => test.outcome === outcome).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

/** Names the failed tests of one report, each with what it said, cut after 2,000 characters. */
export function describeFailures(xml: string): string[] {
  return parseTests(xml).filter(({ outcome }) => outcome === "failed").map(({ name, classname, said }) =>
    `${unescapeXml(classname)}: ${unescapeXml(name)}\n${unescapeXml(said).slice(0, maxSaidChars)}`
  );
}

function parseTests(xml: string): TestCase[] {
  const cases = parseTestCases(xml);
  return cases.filter(({ name, outcome }) => {
    const within = cases.filter((other) => other.name.startsWith(`${name} &gt; `));
    if (within.length === 0) return true;
    return outcome === "failed" && within.every((other) => other.outcome !== "failed");
  });
}

function parseTestCases(xml: string): TestCase[] {
  const cases: TestCase[] = [];
  // Both writers escape ">" within attributes, and "<" within text.
  for (const [, tag, attributes = "", text = ""] of xml.matchAll(element)) {
    const current = cases.at(-1);
    if (tag === "testcase") {
      const [name, classname] = [attributeOf(attributes, "name"), attributeOf(attributes, "classname")];
      cases.push({ name, classname, outcome: "passed", said: "" });
    } else if (current) {
      current.outcome = tag === "skipped" ? "skipped" : "failed";
      if (tag !== "skipped") current.said = `${attributeOf(attributes, "message")}\n${text}`;
    }
  }
  return cases;
}

const element = /<(testcase|failure|error|skipped)\b([^>]*)>([^<]*)/g;

function attributeOf(attributes: string, name: string): string {
  return new RegExp(` ${name}="([^"]*)"`).exec(attributes)?.[1] ?? "";
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescapeXml(text: string): string {
  return text.replace(
    /&(?:#(\d+)|(\w+));/g,
    (whole, code: string | undefined, name: string) =>
      code === undefined ? entities[name] ?? whole : String.fromCodePoint(Number(code)),
  );
}
