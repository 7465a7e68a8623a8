"""Greedy generation, batch 1, with transformers on the CPU: tokens per second, one JSON line."""
import argparse
import json
import resource
import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM

arguments = argparse.ArgumentParser()
arguments.add_argument("config")
arguments.add_argument("--prompt", type=int, default=32)
arguments.add_argument("--tokens", type=int, default=128)
arguments.add_argument("--threads", type=int, default=2)
options = arguments.parse_args()

torch.set_num_threads(options.threads)
config = AutoConfig.for_model(**json.load(open(options.config)))
model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
ids = torch.randint(0, config.vocab_size, (1, options.prompt))
with torch.inference_mode():
    model.generate(ids, max_new_tokens=8, min_new_tokens=8, do_sample=False)
    start = time.perf_counter()
    model.generate(ids, max_new_tokens=options.tokens, min_new_tokens=options.tokens, do_sample=False)
    seconds = time.perf_counter() - start
print(json.dumps({
    "peer": "transformers", "tokens_per_second": options.tokens / seconds,
    "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
