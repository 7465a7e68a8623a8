#!/usr/bin/env python3
"""Checks a device against the Hugging Face reference through the commands: logits, losses, ten training steps, greedy ids.

    check.py SWIFTLET FIXTURES [--device cuda] [--precision float32 bfloat16] [--only NAME ...]

FIXTURES is a folder of model folders as `fixtures/models` has them. float32 must hold the tolerances of the READMEs there; bfloat16 twice the
error that the reference has in bfloat16 itself (bf16.json beside this file). Needs numpy only.
"""
import argparse, json, os, subprocess, sys, tempfile
import numpy as np

# What the reference itself errs by in bfloat16, by model and quantity: written by Benchmarks/peers/bf16_reference.py.
REFERENCE = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "bf16.json")))


# Root mean square of `full.logits` in a bfloat16 run of the reference: the last column of fixtures/models/README.md.
README_LOGITS = {"gemma2": 0.02, "llama_gqa_llama3rope": 0.04, "mistral_swa": 0.04, "mixtral": 0.13, "phi3_longrope": 0.05,
                 "qwen2_bias_tied": 0.05, "qwen3_moe": 0.03, "qwen3_qknorm": 0.03}


def reference_logits(name):
    """One figure a model: over all its logits, because which token goes to another expert is chance."""
    errors = [value for key, value in REFERENCE[name].items() if key.endswith("logits")]
    return float(np.sqrt(np.mean(np.square(errors))))


def tensors(path):
    kinds = {"F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "BF16": np.uint16}
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start = file.tell()
        result = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            file.seek(start + entry["data_offsets"][0])
            raw = file.read(entry["data_offsets"][1] - entry["data_offsets"][0])
            result[name] = np.frombuffer(raw, kinds[entry["dtype"]]).reshape(entry["shape"])
    return result


class Checker:
    def __init__(self, options):
        self.options, self.failed, self.passed, self.skipped = options, 0, 0, 0

    def note(self, name, value, limit):
        good = value <= limit
        self.passed, self.failed = self.passed + good, self.failed + (not good)
        print(f"{'ok  ' if good else 'FAIL'} {name}: {value:.3g} (limit {limit:.3g})", flush=True)

    def run(self, *arguments):
        command = [self.options.swiftlet, *map(str, arguments), "--device", self.options.device]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if result.returncode:
            raise RuntimeError(f"{' '.join(command)}: {result.returncode} {result.stderr[-1500:]}")
        return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]

    def attempt(self, name, body):
        try:
            body()
        except Exception as error:  # one case's failure must not hide the others
            self.failed += 1
            print(f"FAIL {name}: {error}", flush=True)

    def model(self, folder):
        name = os.path.basename(folder)
        facts = json.load(open(f"{folder}/parity.json"))
        numbers = tensors(f"{folder}/parity.safetensors")
        for precision in self.options.precision:
            if precision == "bfloat16" and name not in REFERENCE:
                print(f"skip {name} {precision}: the reference's own error is not known", flush=True)
                self.skipped += 1
                continue
            self.squares = []
            for prefix, adapter in (("", None), ("lora.", f"{folder}/adapter")):
                self.attempt(f"{name} {precision} {prefix}logits", lambda: self.logits(name, folder, numbers, precision, prefix, adapter))
            if precision == "bfloat16":
                rms = float(np.sqrt(np.mean(self.squares))) if self.squares else np.inf
                self.note(f"{name} {precision} logits rms, all", rms, 2 * reference_logits(name))
            self.attempt(f"{name} {precision} train", lambda: self.train(name, folder, facts, numbers, precision))
        if "float32" in self.options.precision:
            self.attempt(f"{name} generate", lambda: self.generate(name, folder, facts))

    def rows(self, numbers, key):
        ids, mask = numbers[key + "input_ids"], numbers.get(key + "attention_mask")
        ids = ids.reshape(-1, ids.shape[-1])
        lengths = mask.reshape(ids.shape).sum(1) if mask is not None else [ids.shape[1]] * len(ids)
        return [row[:int(length)].tolist() for row, length in zip(ids, lengths)]

    def logits(self, name, folder, numbers, precision, prefix, adapter):
        with tempfile.TemporaryDirectory() as work:
            for key in ("full.", "padded."):
                wanted = numbers.get(prefix + key + "logits")
                if wanted is None:
                    continue
                rows = self.rows(numbers, key)
                with open(f"{work}/rows.jsonl", "w") as file:
                    file.writelines(json.dumps({"input_ids": row}) + "\n" for row in rows)
                extra = ["--adapter", adapter] if adapter else []
                self.run("score", folder, "--input", f"{work}/rows.jsonl", "--logits", f"{work}/out.safetensors", "--weights", precision,
                         "--json", *extra)
                found = tensors(f"{work}/out.safetensors")
                errors = np.concatenate(
                    [(found[f"logits.{i}"] - wanted[i][:len(row)]).ravel().astype(np.float64) for i, row in enumerate(rows)])
                if precision == "float32":
                    self.note(f"{name} {precision} {prefix}{key}logits max", np.abs(errors).max(), 2e-4)
                else:
                    self.squares.append((errors ** 2).mean())
                    rms = float(np.sqrt(self.squares[-1]))
                    if prefix + key == "full." and name in README_LOGITS:
                        self.note(f"{name} {precision} full.logits rms", rms, 2 * README_LOGITS[name])
                    else:
                        print(f"     {name} {precision} {prefix}{key}logits rms: {rms:.3g}", flush=True)

    def train(self, name, folder, facts, numbers, precision):
        run = facts["train"]
        steps = len(run["loss"])
        rows, labels = self.rows(numbers, "train."), numbers["train.labels"].reshape(-1, numbers["train.labels"].shape[-1])
        with tempfile.TemporaryDirectory() as work:
            with open(f"{work}/data.jsonl", "w") as file:
                for ids, row in zip(rows, labels):
                    file.write(json.dumps({"input_ids": ids, "labels": row[:len(ids)].tolist()}) + "\n")
            for mode in ("none", "everyBlock"):
                with open(f"{work}/recipe.yaml", "w") as file:
                    file.write(f"""
model: {{source: {folder}, weights: {precision}}}
adapter: {{start: {folder}/adapter}}
data: {{path: {work}/data.jsonl, layout: tokens, shuffle: false, holdOut: 0}}
method: {{sft: {{packing: false}}}}
optimizer: {{adamW: {{learningRate: 1.0e-3, weightDecay: 0.01}}}}
schedule: {{linear: {{warmup: 2}}}}
plan: {{steps: {steps}, batchSize: {len(rows) // steps}, accumulation: 1, seed: 1, maxGradNorm: 1.0}}
memory: {{checkpoint: {mode}}}
output: {work}/run_{mode}
""")
                self.run("train", f"{work}/recipe.yaml", "--quiet")
            lines = {mode: [json.loads(line) for line in open(f"{work}/run_{mode}/metrics.jsonl")] for mode in ("none", "everyBlock")}
            losses = {mode: np.array([line["loss"] for line in found if "loss" in line]) for mode, found in lines.items()}
            norms = np.array([line["grad_norm"] for line in lines["none"] if "grad_norm" in line])
            exact = precision == "float32"
            limits = {"train loss": 5e-5, "grad norm": 1e-4, "adapter after training": 2e-5} if exact else {
                key: 2 * value for key, value in REFERENCE[name].items()}
            self.note(f"{name} {precision} train loss", np.abs(losses["none"] - run["loss"]).max(), limits["train loss"])
            self.note(f"{name} {precision} grad norm", (np.abs(norms - run["grad_norm"]) / run["grad_norm"]).max(),
                      limits["grad norm"])
            self.note(f"{name} {precision} loss with and without recomputation", np.abs(losses["none"] - losses["everyBlock"]).max(), 0)
            wanted = tensors(f"{folder}/lora_after_10_steps.safetensors")
            found = tensors(f"{work}/run_none/final/adapter_model.safetensors")
            self.note(f"{name} {precision} adapter after training", max(np.abs(found[key] - wanted[key]).max() for key in wanted),
                      limits["adapter after training"])

    def generate(self, name, folder, facts):
        with tempfile.TemporaryDirectory() as work:
            with open(f"{work}/rows.jsonl", "w") as file:
                file.writelines(json.dumps({"input_ids": case["prompt"]}) + "\n" for case in facts["generate"])
            answers = self.run("generate", folder, "--input", f"{work}/rows.jsonl", "--max-tokens", 16, "--temperature", 0, "--ignore-eos",
                               "--weights", "float32", "--json")
            wrong = sum(answer["tokens"] != case["output"] for answer, case in zip(answers, facts["generate"]))
            self.note(f"{name} greedy answers that differ", wrong + len(facts["generate"]) - len(answers), 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("swiftlet")
    parser.add_argument("fixtures")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--only", nargs="*")
    checker = Checker(parser.parse_args())
    for folder in sorted(os.listdir(checker.options.fixtures)):
        path = f"{checker.options.fixtures}/{folder}"
        if os.path.exists(f"{path}/parity.safetensors") and (not checker.options.only or folder in checker.options.only):
            checker.model(path)
    print(f"{checker.passed} passed, {checker.failed} failed, {checker.skipped} skipped")
    sys.exit(checker.failed > 0)


main()
