/** Everything that is measured of one tree. */
import * as path from "node:path";
import type { Places } from "../contenders/contender.ts";
import { remove } from "../places.ts";
import { type TreeId, trees } from "../trees/trees.ts";
import type { MeasuredTable } from "./results.ts";
import { storeLayer } from "./stored_layer.ts";
import { type TableId, tables } from "./tables.ts";

/** Makes the tree and removes everything again. @throws {Error} where a variant does not do its work */
export async function measureTree(
  id: TreeId,
  { places, wanted }: { places: Places; wanted: readonly TableId[] },
  { rounds, onStep }: { rounds: number; onStep: (text: string) => void },
): Promise<MeasuredTable[]> {
  const layerPlace = path.join(places.share, "layer.tar.zst");
  try {
    onStep("making it");
    await trees[id].make(places.tree);
    const stored = await storeLayer(places.tree, layerPlace);
    const measured: MeasuredTable[] = [];
    for (const table of wanted) {
      onStep(table);
      measured.push({
        table,
        tree: id,
        rows: await tables[table].measure({ places, stored }, { rounds }),
      });
    }
    return measured;
  } finally {
    remove(places.tree, places.target, layerPlace);
  }
}
