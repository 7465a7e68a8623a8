#!/usr/bin/env python3
"""Trains a model of real product sizes several ways and compares the final adapters bit by bit.

    bits.py SWIFTLET CONFIG [--device cuda] [--weights nf4] [--length 1024] [--batch 8] [--steps 8]

The same run twice, replayed, offloaded, selective, and stopped in the middle and resumed.
"""
import argparse, hashlib, json, os, random, shutil, subprocess, sys, tempfile, time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("swiftlet")
parser.add_argument("config")
parser.add_argument("--device", default="cuda")
parser.add_argument("--weights", default="nf4")
parser.add_argument("--length", type=int, default=1024)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--dropout", type=float, default=0)
parser.add_argument("--modes", nargs="*", default=["none", "again", "everyBlock", "offload", "resumed"])
options = parser.parse_args()
vocabulary = json.load(open(options.config))["vocab_size"]
draw = random.Random(1)


def digest(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()[:16]


with tempfile.TemporaryDirectory() as work:
    with open(f"{work}/data.jsonl", "w") as file:
        for _ in range(options.steps * options.batch):
            ids = [draw.randrange(vocabulary) for _ in range(options.length)]
            file.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")

    def train(mode, steps, folder, *rest):
        memory = {"everyBlock": "checkpoint: everyBlock", "offload": "checkpoint: everyBlock, offload: host"}.get(mode, "checkpoint: none")
        with open(f"{work}/recipe.yaml", "w") as file:
            file.write(f"""
model: {{config: {options.config}, weights: {options.weights}}}
adapter: {{lora: {{rank: 64, alpha: 64, dropout: {options.dropout}}}}}
data: {{path: {work}/data.jsonl, layout: tokens, shuffle: false, holdOut: 0}}
method: {{sft: {{packing: false}}}}
optimizer: {{adamW8bit: {{learningRate: 1.0e-3}}}}
schedule: {{constant: {{warmup: 0}}}}
plan: {{steps: {steps}, batchSize: {options.batch}, accumulation: 1, seed: 1, maxGradNorm: 1.0}}
memory: {{{memory}}}
saving: {{every: {options.steps // 2}, keep: 5}}
output: {folder}
""")
        command = [options.swiftlet, "train", f"{work}/recipe.yaml", "--quiet", "--device", options.device, *rest]
        start = time.time()
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(f"{mode}: {result.returncode} {result.stderr[-2000:]}")
        losses = [json.loads(line)["loss"] for line in open(f"{folder}/metrics.jsonl") if '"loss"' in line]
        print(f"{mode}: adapter {digest(folder + '/final/adapter_model.safetensors')} in {time.time() - start:.1f} s, losses {losses}", flush=True)
        return digest(f"{folder}/final/adapter_model.safetensors")

    found = {}
    for mode in options.modes:
        if mode == "resumed":
            shutil.copytree(f"{work}/{options.modes[0]}", f"{work}/resumed")
            shutil.rmtree(f"{work}/resumed/final")
            shutil.rmtree(f"{work}/resumed/checkpoint-{options.steps}", ignore_errors=True)
            assert os.path.isdir(f"{work}/resumed/checkpoint-{options.steps // 2}"), os.listdir(f"{work}/resumed")
            found[mode] = train("resumed", options.steps, f"{work}/resumed", "--resume", f"{work}/resumed")
        else:
            found[mode] = train(mode, options.steps, f"{work}/{mode}")
    print("all equal" if len(set(found.values())) == 1 else f"DIFFERENT: {found}")
    sys.exit(len(set(found.values())) > 1)
