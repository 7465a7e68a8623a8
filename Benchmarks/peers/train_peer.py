"""LoRA SFT of a Llama shape with transformers + PEFT on the CPU: tokens per second and peak memory, one JSON line.

Same shapes as `swiftlet bench --train`: random weights, random tokens, labels = tokens, LoRA on all linear layers, AdamW, clipping at 1.0.
"""
import argparse
import json
import resource
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

arguments = argparse.ArgumentParser()
arguments.add_argument("config")
arguments.add_argument("--batch", type=int, default=4)
arguments.add_argument("--length", type=int, default=512)
arguments.add_argument("--rank", type=int, default=16)
arguments.add_argument("--steps", type=int, default=4)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--checkpointing", action="store_true")
options = arguments.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(0)
config = AutoConfig.for_model(**json.load(open(options.config)))
model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
model = get_peft_model(model, LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules="all-linear", task_type="CAUSAL_LM"))
if options.checkpointing:
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
model.train()
trainable = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trainable, lr=2e-4)
times = []
for step in range(options.steps + 1):
    ids = torch.randint(0, config.vocab_size, (options.batch, options.length))
    start = time.perf_counter()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if step > 0:
        times.append(time.perf_counter() - start)
seconds = statistics.median(times)
print(json.dumps({
    "peer": "transformers+peft", "tokens_per_second": options.batch * options.length / seconds, "seconds_per_step": seconds,
    "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "loss": float(loss)}))
