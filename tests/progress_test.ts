import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { noProgress, progressMaker } from "../lib/progress.ts";
import type { Stdio } from "../lib/system.ts";
import { FakeClock } from "./fake_clock.ts";
import { only } from "./fake_system.ts";

interface Recorder {
  readonly stdio: Stdio;
  /** Lines by stdio.stderr(), and by the stream itself. */
  readonly lines: string[];
  readonly drawn: string[];
}

function recorder(): Recorder {
  const lines: string[] = [];
  const drawn: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      drawn.push(String(chunk));
      done();
    },
  });
  const terminal = Object.assign(stream, { isTTY: true, columns: 80, rows: 24 });
  const stdio = only<Stdio>("stdio", {
    stderr: (text) => {
      lines.push(text);
    },
    stderrStream: terminal as unknown as NodeJS.WriteStream,
  });
  return { stdio, lines, drawn };
}

test("in a log there is at most a line a second, and none before the first second is over", async () => {
  const { stdio, lines, drawn } = recorder();
  const clock = new FakeClock();
  const makeProgress = await progressMaker({ stdio, clock }, false);
  {
    using progress = makeProgress("load");
    for (let done = 0; done <= 40; done++) {
      progress.update(done * 1_000_000, 40_000_000);
      await clock.advance(90);
    }
  }
  assert.deepEqual(lines, [
    "b10-compile-cache: load 30 % of 40.0 MB\n",
    "b10-compile-cache: load 60 % of 40.0 MB\n",
    "b10-compile-cache: load 90 % of 40.0 MB\n",
  ]);
  assert.deepEqual(drawn, []);
});

test("in a log an operation of less than a second says nothing", async () => {
  const { stdio, lines } = recorder();
  const clock = new FakeClock();
  using progress = (await progressMaker({ stdio, clock }, false))("load");
  progress.update(0, 100);
  await clock.advance(999);
  progress.update(100, 100);
  assert.deepEqual(lines, []);
});

test("in a log the wall clock's jumps do not count", async () => {
  const { stdio, lines } = recorder();
  const clock = new FakeClock();
  using progress = (await progressMaker({ stdio, clock }, false))("save");
  clock.setWallClock(clock.nowMs() + 3_600_000);
  progress.update(1, 2);
  assert.deepEqual(lines, []);
  clock.setWallClock(0);
  await clock.advance(1000);
  progress.update(1, 2);
  assert.deepEqual(lines, ["b10-compile-cache: save 50 % of 2 B\n"]);
});

test("in a log nothing to do is all done, and no line has control characters", async () => {
  const { stdio, lines } = recorder();
  const clock = new FakeClock();
  using progress = (await progressMaker({ stdio, clock }, false))("load");
  await clock.advance(1000);
  progress.update(0, 0);
  assert.deepEqual(lines, ["b10-compile-cache: load 100 % of 0 B\n"]);
  for (const line of lines) assert.match(line, /^\P{Cc}*\n$/u);
});

test("on a terminal a bar is drawn, and cleared at the end", async () => {
  const { stdio, lines, drawn } = recorder();
  {
    using progress = (await progressMaker({ stdio, clock: new FakeClock() }, true))("load");
    progress.update(0, 38_245_041);
    progress.update(38_245_041, 38_245_041);
  }
  const all = drawn.join("");
  assert.match(stripVTControlCharacters(all), /load .*█.* 100% of 38\.2 MB/);
  assert.ok(
    all.includes("\x1b[?25l") && all.lastIndexOf("\x1b[?25h") > all.lastIndexOf("\x1b[?25l"),
    "cursor",
  );
  // deno-lint-ignore no-control-regex
  assert.match(all, /\x1b\[[02]?K[^█]*$/, "the line is cleared after the bar was last drawn");
  assert.deepEqual(lines, []);
});

test("on a terminal an operation without progress draws nothing", async () => {
  const { stdio, lines, drawn } = recorder();
  {
    using _progress = (await progressMaker({ stdio, clock: new FakeClock() }, true))("load");
  }
  assert.deepEqual(drawn, []);
  assert.deepEqual(lines, []);
});

test("noProgress says nothing", () => {
  using progress = noProgress;
  progress.update(1, 2);
});
