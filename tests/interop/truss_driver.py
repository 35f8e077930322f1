"""truss_driver.py DIRECTORY: what a Truss server does with the model.py in DIRECTORY, once; prints one JSON line about it."""

import json
import sys
import time

begun = time.perf_counter()
sys.path.insert(0, sys.argv[1])
import model as module

imported = time.perf_counter()

import b10_transfer
from torch._dynamo.utils import counters

model = module.Model(config={}, secrets={}, data_dir=None)
model.load()
loaded = time.perf_counter()
answer = model.predict({"image": [[[[0.5] * 64] * 64] * 3]})
inductor = counters["inductor"]
print(
    json.dumps(
        {
            "import_s": imported - begun,
            "load_s": loaded - imported,
            "hits": inductor["fxgraph_cache_hit"],
            "misses": inductor["fxgraph_cache_miss"],
            "last": [b10_transfer.last_result().operation, b10_transfer.last_result().status.name],
            "files": b10_transfer.last_result().files,
            "shape": [len(answer["image"]), len(answer["image"][0]), len(answer["image"][0][0])],
        }
    )
)
