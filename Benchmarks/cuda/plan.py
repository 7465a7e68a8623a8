#!/usr/bin/env python3
"""Compares the planned peak of training with the measured one: four models, several precisions, ways of checkpointing and lengths.

    plan.py SWIFTLET [--device cuda]

Prints a row a configuration; the exit code is 1 where one is off by more than 1 %.
"""
import argparse, json, os, subprocess

SHAPES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "shapes")
CONFIGURATIONS = [
    ("qwen3-0.6b", "--weights bfloat16 --batch 8 --length 512 --optimizer adamW"),
    ("qwen3-0.6b", "--weights bfloat16 --full --batch 4 --length 1024 --checkpoint everyBlock --optimizer adamW8bit"),
    ("qwen3-0.6b", "--weights float32 --batch 2 --length 777 --optimizer adamW"),
    ("qwen25-1.5b", "--weights nf4 --batch 8 --length 1024 --optimizer adamW8bit"),
    ("qwen25-1.5b", "--weights int8 --batch 4 --length 2048 --checkpoint everyBlock --optimizer pagedAdamW8bit"),
    ("qwen25-1.5b", "--weights float16 --batch 3 --length 1500 --checkpoint everyBlock --offload host --optimizer adamW8bit"),
    ("gemma2-2b", "--weights nf4 --batch 2 --length 2048 --checkpoint everyBlock --optimizer adamW8bit"),
    ("gemma2-2b", "--weights fp8 --batch 1 --length 6000 --lean"),
    ("llama3-8b", "--weights nf4 --batch 1 --length 4096 --checkpoint everyBlock --optimizer adamW8bit"),
    ("llama3-8b", "--weights nf4 --batch 1 --length 16384 --lean"),
]

parser = argparse.ArgumentParser()
parser.add_argument("swiftlet")
parser.add_argument("--device", default="cuda")
options = parser.parse_args()
worst = 0.0
print("| model | options of `bench --train` | planned, bytes | measured, bytes | off by |\n| --- | --- | ---: | ---: | ---: |")
for model, flags in CONFIGURATIONS:
    command = [options.swiftlet, "bench", "--json", "--quiet", "--device", options.device, "--train", f"{SHAPES}/{model}.json", "--rank", "32",
               "--steps", "2", "--warm-up", "1", *flags.split()]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)}: {result.returncode} {result.stderr[-1500:]}")
    found = json.loads(result.stdout.splitlines()[-1])
    planned, measured = found["planned_peak_bytes"], found["peak_bytes"]
    off = abs(planned - measured) / measured
    worst = max(worst, off)
    print(f"| {model} | `{flags}` | {planned:,} | {measured:,} | {100 * off:.4f} % |", flush=True)
raise SystemExit(worst > 0.01)
