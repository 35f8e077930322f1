/** What a schema finds wrong, for people. Pure. */
import * as v from "valibot";
import { escapeUnseen } from "./text.ts";

/** A hostile value may have megabytes, and valibot quotes it whole. */
const shownCharacters = 300;

/** "files.0.mode Invalid type: Expected number but received null", on one line, with nothing unseen in it. */
export function describeIssue(issue: v.BaseIssue<unknown>): string {
  return `${shownText(v.getDotPath(issue) ?? "")} ${shownText(issue.message)}`;
}

/** A text in which values from outside stand, not longer than a person reads. */
export function shownText(text: string): string {
  return text.length <= shownCharacters
    ? escapeUnseen(text)
    : `${escapeUnseen(text.slice(0, shownCharacters))}…`;
}
