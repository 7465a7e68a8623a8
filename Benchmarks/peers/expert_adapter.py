"""PEFT's adapter on the stacked experts of Tests/Fixtures/models/tiny_gpt_oss, what it answers and its gradients: `adapter_experts` there.

    python Benchmarks/peers/expert_adapter.py        (torch 2.13, transformers 5.23, peft 0.21)
"""
import os
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Tests/Fixtures/models/tiny_gpt_oss")
folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(model, "adapter_experts")
torch.manual_seed(3)
base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
adapted = get_peft_model(
    base,
    LoraConfig(
        r=3, lora_alpha=6, target_modules=["q_proj"], target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
        task_type="CAUSAL_LM"))
with torch.no_grad():
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.normal_(0, 0.15)
adapted.peft_config["default"].base_model_name_or_path = "tiny_gpt_oss"
adapted.save_pretrained(folder)
ids = torch.randint(0, base.config.vocab_size, (1, 24))
output = adapted.eval()(ids, labels=ids)
output.loss.backward()
found = {"ids": ids[0].int(), "logits": output.logits[0].detach().clone(), "loss": output.loss.detach().reshape(1)}
for name, parameter in adapted.named_parameters():
    if parameter.grad is not None:
        found["grad." + name.replace(".default", "")] = parameter.grad.clone()
save_file(found, os.path.join(folder, "expected.safetensors"))
readme = os.path.join(folder, "README.md")
if os.path.exists(readme):
    os.remove(readme)
