"""float32 x·Wᵀ with the OpenBLAS that numpy brings: GFLOP/s a shape, JSON lines. Set OPENBLAS_CORETYPE and OPENBLAS_NUM_THREADS before the start."""
import json
import sys
import time

import numpy as np

for shape in sys.argv[1:]:
    m, n, k = map(int, shape.split("x"))
    a = np.random.rand(m, k).astype(np.float32)
    b = np.random.rand(n, k).astype(np.float32)
    best = 1e9
    for _ in range(12):
        start = time.perf_counter()
        a @ b.T
        best = min(best, time.perf_counter() - start)
    print(json.dumps({"peer": "openblas", "m": m, "n": n, "k": k, "gflops": 2 * m * n * k / best / 1e9}))
