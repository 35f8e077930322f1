import { memoryStore } from "../../lib/store/memory.ts";
import { realRandom } from "../../lib/system/clock.ts";
import { FakeClock } from "../fake_clock.ts";
import { storeContract } from "../store_contract.ts";

storeContract("memoryStore()", () => {
  const clock = new FakeClock();
  const store = memoryStore({ random: realRandom, clock });
  return Promise.resolve({
    store,
    clock,
    open: () => Promise.resolve(store),
    unfinished: () => Promise.resolve([]),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});
