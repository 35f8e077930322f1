/** The program's name and version. */
import packageJson from "../package.json" with { type: "json" };

export const version: string = packageJson.version;

export const versionLine = `b10-compile-cache ${version}`;
