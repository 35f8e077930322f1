/** The Python that has b10-transfer. */
import * as path from "node:path";
import process from "node:process";

const venv = process.env["PEER_VENV"];

/** Undefined where PEER_VENV names no environment. */
export const peerPython = venv ? path.join(venv, "bin", "python3") : undefined;
