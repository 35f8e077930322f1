/** The three trees that everything is measured on. Each is the same on every machine. */
import { unpackFixture } from "../../tests/fixture.ts";
import { makeCopies } from "./copies.ts";
import { makeSmallFiles } from "./small_files.ts";

export const treeIds = ["a", "b", "c"] as const;

export type TreeId = typeof treeIds[number];

export interface Tree {
  readonly title: string;
  /** The memory that the tree takes, with a copy of it and what every contender stores. */
  readonly neededBytes: number;
  /** Makes the tree in `dir`, which is not there yet. */
  readonly make: (dir: string) => Promise<void>;
}

export const trees: Readonly<Record<TreeId, Tree>> = {
  a: { title: "a real H100 cache", neededBytes: 0.3e9, make: unpackFixture },
  b: {
    title: "20 of it, perturbed",
    neededBytes: 4.5e9,
    make: (dir) => makeCopies(dir, { copies: 20, seed: 7 }),
  },
  c: {
    title: "small files",
    neededBytes: 2.5e9,
    make: (dir) => makeSmallFiles(dir, { files: 70_000, bytesEach: 2048, seed: 7 }),
  },
};
