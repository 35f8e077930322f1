import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { countTests, describeFailures } from "../../scripts/junit.ts";

// As deno test 2.9.6 writes it.
const denoReport = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="14" failures="4" errors="0" time="0.014">
    <testsuite name="./x_test.ts" tests="9" disabled="3" errors="0" failures="3">
        <testcase name="top ok" classname="./x_test.ts" time="0.002" line="3" col="1">
        </testcase>
        <testcase name="top skip" classname="./x_test.ts" time="0.000" line="4" col="1">
            <skipped/>
        </testcase>
        <testcase name="group" classname="./x_test.ts" time="0.002" line="9" col="1">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="group &gt; in ok" classname="ext:deno_node/testing.ts" time="0.000" line="1" col="23191">
        </testcase>
        <testcase name="group &gt; in fail" classname="ext:deno_node/testing.ts" time="0.001" line="1" col="21231">
            <failure message="Uncaught AssertionError: &quot;1&quot; =&gt;
2">at async (t) =&gt; x</failure>
        </testcase>
        <testcase name="group &gt; nested" classname="ext:deno_node/testing.ts" time="0.001" line="1" col="21231">
        </testcase>
        <testcase name="group &gt; nested &gt; deep" classname="ext:deno_node/testing.ts" time="0.000" line="1" col="2">
        </testcase>
    </testsuite>
</testsuites>`;

// As bun test 1.4.5 writes it.
const bunReport = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="4" assertions="0" failures="1" skipped="1" time="0.045611728">
  <testsuite name="x_test.ts" file="x_test.ts" tests="4" assertions="0" failures="1" skipped="1" hostname="vm">
    <testcase name="top ok" classname="" time="0.001092" file="x_test.ts" line="3" assertions="0" />
    <testcase name="runtime skip" classname="" time="0.000071" file="x_test.ts" line="7" assertions="0">
      <skipped />
    </testcase>
    <testsuite name="group" file="x_test.ts" line="9" tests="2" assertions="0" failures="1" skipped="0" time="0">
      <testcase name="in fail" classname="group" time="0.000172" file="x_test.ts" line="9" assertions="0">
        <failure type="AssertionError" message="&#10;1 !== 2">AssertionError</failure>
      </testcase>
      <testsuite name="nested" file="x_test.ts" line="9" tests="1" assertions="0" failures="0" skipped="0" time="0">
        <testcase name="deep" classname="nested &gt; group" time="0.000038" file="x_test.ts" line="9" assertions="0" />
      </testsuite>
    </testsuite>
  </testsuite>
</testsuites>`;

describe("countTests()", () => {
  test("counts Deno's tests, but not the groups around them", () => {
    assert.deepEqual(countTests(denoReport), { passed: 3, failed: 1, skipped: 1 });
  });

  test("counts Bun's tests", () => {
    assert.deepEqual(countTests(bunReport), { passed: 2, failed: 1, skipped: 1 });
  });

  test("counts a group that failed although none of its tests did", () => {
    const report = `<testcase name="group" line="1"><failure message="hook"></failure></testcase>
      <testcase name="group &gt; in ok" line="2"></testcase>`;
    assert.deepEqual(countTests(report), { passed: 1, failed: 1, skipped: 0 });
  });
});

describe("describeFailures()", () => {
  test("names Deno's failed tests with what they said, but not the groups around them", () => {
    assert.deepEqual(describeFailures(denoReport), [
      'ext:deno_node/testing.ts: group > in fail\nUncaught AssertionError: "1" =>\n2\nat async (t) => x',
    ]);
  });

  test("names Bun's", () => {
    assert.deepEqual(describeFailures(bunReport), ["group: in fail\n\n1 !== 2\nAssertionError"]);
  });

  test("cuts what compares large data", () => {
    const report = `<testcase name="x"><failure message="${"y".repeat(10_000)}"></failure></testcase>`;
    assert.deepEqual(describeFailures(report).map(({ length }) => length), [": x\n".length + 2_000]);
  });

  test("says nothing of a report without failures", () => {
    assert.deepEqual(describeFailures('<testcase name="x"><skipped/></testcase><testcase name="y"/>'), []);
  });
});
