/** A reader of Prometheus' text format 0.0.4 that takes nothing else. */
import assert from "node:assert/strict";

export interface ReadMetric {
  readonly help: string;
  readonly type: string;
  /** By the labels as they are written, "" without any. */
  readonly samples: Readonly<Record<string, number>>;
}

const name = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const helpLine = new RegExp(`^# HELP (${name}) ((?:[^\\\\\\n]|\\\\[\\\\n])+)$`);
const typeLine = new RegExp(`^# TYPE (${name}) (counter|gauge|histogram|summary|untyped)$`);
const sampleLine = new RegExp(
  `^(${name})((?:\\{${label}(?:,${label})*\\})?) (-?[0-9]+(?:\\.[0-9]+)?(?:e[+-][0-9]+)?)$`,
);

/** Each metric is a HELP, a TYPE, and its samples: nothing stands twice, nothing apart. */
export function readPrometheus(text: string): ReadonlyMap<string, ReadMetric> {
  assert.ok(text === "" || text.endsWith("\n"), "the last line has an end");
  const metrics = new Map<string, ReadMetric>();
  const lines = text.split("\n").slice(0, -1);
  while (lines.length > 0) {
    const [, metric = "", help = ""] = match(helpLine, lines.shift());
    const [, typed, type = ""] = match(typeLine, lines.shift());
    assert.equal(typed, metric, "the TYPE is of what the HELP is of");
    assert.ok(!metrics.has(metric), `${metric} stands twice`);
    const samples: Record<string, number> = {};
    while (lines.length > 0 && !lines[0]?.startsWith("#")) {
      const [, sampled, labels = "", value] = match(sampleLine, lines.shift());
      assert.equal(sampled, metric, "a sample stands below its own TYPE");
      assert.ok(!(labels in samples), `${metric}${labels} stands twice`);
      samples[labels] = Number(value);
    }
    assert.ok(Object.keys(samples).length > 0, `${metric} has a sample`);
    metrics.set(metric, { help, type, samples });
  }
  return metrics;
}

function match(pattern: RegExp, line = ""): RegExpExecArray {
  return pattern.exec(line) ?? assert.fail(`${JSON.stringify(line)} is not ${pattern.source}`);
}
