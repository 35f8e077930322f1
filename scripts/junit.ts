/** Counts of tests, from the JUnit reports that `deno test` and `bun test` write. Pure. */

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface TestCase {
  readonly name: string;
  outcome: keyof Counts;
}

export const noTests: Counts = { passed: 0, failed: 0, skipped: 0 };

export function addCounts(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/**
 * Counts the tests of one report. Deno also lists each group of tests as a case of its own; such a group counts
 * only where it failed although none of its tests did.
 */
export function countTests(xml: string): Counts {
  const cases = parseTestCases(xml);
  const counted = cases.filter(({ name, outcome }) => {
    const within = cases.filter((other) => other.name.startsWith(`${name} &gt; `));
    if (within.length === 0) return true;
    return outcome === "failed" && within.every((other) => other.outcome !== "failed");
  });
  const count = (outcome: keyof Counts) => counted.filter((test) => test.outcome === outcome).length;
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

function parseTestCases(xml: string): TestCase[] {
  const cases: TestCase[] = [];
  // Both writers escape ">" within attributes and text.
  for (const [, tag, attributes = ""] of xml.matchAll(/<(testcase|failure|error|skipped)\b([^>]*)>/g)) {
    const current = cases.at(-1);
    if (tag === "testcase") {
      cases.push({ name: / name="([^"]*)"/.exec(attributes)?.[1] ?? "", outcome: "passed" });
    } else if (current) {
      current.outcome = tag === "skipped" ? "skipped" : "failed";
    }
  }
  return cases;
}
