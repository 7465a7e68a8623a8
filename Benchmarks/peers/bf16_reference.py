"""The error that the reference has in bfloat16 itself, against its own float32: what `Benchmarks/cuda/check.py` measures by.

    bf16_reference.py MODELS [NAME ...] > Benchmarks/cuda/bf16.json

MODELS is a folder of model folders as `fixtures/models` has them, made with transformers 4.57 and peft 0.21 (torch on the CPU is enough). Weights
are bfloat16, trained adapters float32 under autocast. Root mean square of the logits' error over real tokens, largest error of ten training
losses, largest relative error of ten gradient norms, largest error of the adapter after them. Mixtures of experts differ by torch's version:
one token that goes to another expert is most of their error.
"""
import json
import os
import sys
import warnings

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()


def logit_errors(model, numbers, prefix):
    errors = {}
    for key in ("full.", "padded."):
        ids, mask = numbers[key + "input_ids"], numbers.get(key + "attention_mask")
        with torch.no_grad():
            difference = model.eval()(input_ids=ids, attention_mask=mask).logits.float() - numbers[prefix + key + "logits"]
        kept = torch.ones_like(ids) if mask is None else mask
        errors[prefix + key + "logits"] = float((difference[kept.bool()] ** 2).mean().sqrt())
    return errors


def training_errors(model, numbers, run, wanted):
    trainable = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW(trainable.values(), lr=1e-3, weight_decay=0.01)
    steps, losses, norms = len(run["loss"]), [], []
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (step / 2 if step < 2 else (steps - step) / (steps - 2))
        batch = {key: numbers[f"train.{key}"][step] for key in ("input_ids", "attention_mask", "labels")}
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        for weight in trainable.values():
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        norms.append(float(torch.nn.utils.clip_grad_norm_(trainable.values(), 1.0)))
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    return {
        "train loss": max(abs(a - b) for a, b in zip(losses, run["loss"])),
        "grad norm": max(abs(a - b) / b for a, b in zip(norms, run["grad_norm"])),
        "adapter after training": max(
            float((weight - wanted[name.replace(".default", "")]).abs().max()) for name, weight in trainable.items()),
    }


def errors(folder):
    numbers, facts = load_file(f"{folder}/parity.safetensors"), json.load(open(f"{folder}/parity.json"))
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="eager")
    found = logit_errors(base, numbers, "")
    model = PeftModel.from_pretrained(base, f"{folder}/adapter", is_trainable=True)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()
    with torch.autocast("cpu", torch.bfloat16):
        found.update(logit_errors(model, numbers, "lora."))
    found.update(training_errors(model, numbers, facts["train"], load_file(f"{folder}/lora_after_10_steps.safetensors")))
    return {key: float(f"{value:.3g}") for key, value in found.items()}


models = sys.argv[1]
names = sys.argv[2:] or sorted(name for name in os.listdir(models) if os.path.exists(f"{models}/{name}/parity.safetensors"))
result = {"versions": {"torch": torch.__version__, "transformers": transformers.__version__}}
for name in names:
    try:
        result[name] = errors(f"{models}/{name}")
    except Exception as problem:  # formats that the reference cannot load on a CPU have no figure
        print(f"{name}: {type(problem).__name__}: {problem}", file=sys.stderr)
print(json.dumps(result, indent=1))
