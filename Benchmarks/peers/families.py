"""Every family that has a GGUF form, with random weights made by transformers: trained a few steps by Swiftlet, then the same logits wanted from
transformers, PEFT and llama.cpp. Called by interop.py."""
import importlib.util
import json
import os

LENGTH = 24
SIZES = dict(vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, initializer_range=0.1, pad_token_id=0, bos_token_id=1, eos_token_id=2)
FAMILIES = {
    "llama": dict(rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                       original_max_position_embeddings=64)),
    "mistral": dict(sliding_window=None), "mixtral": dict(num_local_experts=4, sliding_window=None), "qwen2": dict(tie_word_embeddings=True),
    "qwen3": dict(head_dim=32), "qwen3_moe": dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64, norm_topk_prob=True, head_dim=16),
    "gemma2": dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=8), "gemma3_text": dict(head_dim=16, query_pre_attn_scalar=16, sliding_window=8),
    "phi3": dict(), "olmo2": dict(), "cohere2": dict(logit_scale=0.3, sliding_window=8), "glm4": dict(head_dim=16),
    "granite": dict(embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.7, logits_scaling=2.0),
}


def four_bit(folder):
    """A 4-bit checkpoint as transformers and bitsandbytes load it, computing in float32, and its coded matrices by name."""
    import bitsandbytes
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    matrices = {n: m for n, m in model.named_modules() if isinstance(m, bitsandbytes.nn.Linear4bit)}
    for module in matrices.values():
        # The codes say that they are read into bfloat16, and some processors compute in it; what is compared is what they stand for.
        module.weight.quant_state.dtype = torch.float32
        module.compute_dtype = torch.float32
        module.support_avx512bf16_for_cpu = False
    for parameter in model.parameters():
        if parameter.dtype.is_floating_point:
            parameter.data = parameter.data.float()
    return model, matrices


def run(options, work, swiftlet, check, attempt):
    import numpy
    import torch
    from llama_cpp import Llama
    from peft import PeftModel
    from safetensors.numpy import load_file
    from transformers import AutoConfig, AutoModelForCausalLM
    torch.manual_seed(1)
    os.makedirs(work, exist_ok=True)
    ids = torch.randint(3, 512, (8, LENGTH)).tolist()
    rows, file = os.path.join(work, "rows.jsonl"), os.path.join(work, "logits.safetensors")
    with open(rows, "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"input_ids": row, "labels": row}) + "\n" for row in ids)

    def ours(*model):
        swiftlet("score", *model, "--input", rows, "--logits", file, "--weights", "float32")
        stored = load_file(file)
        return numpy.stack([stored[f"logits.{i}"] for i in range(len(ids))])

    def theirs(model):
        with torch.no_grad():
            return model(torch.tensor(ids)).logits.float().numpy()

    def llama_cpp(path, **rest):
        # The cache in float32, as everywhere here: what is compared is the model, not the formats of its state.
        llama = Llama(path, n_ctx=64, n_threads=2, logits_all=True, verbose=False, type_k=0, type_v=0, flash_attn=False, **rest)
        answers = []
        for row in ids:
            llama.reset()
            llama.eval(row)
            answers.append(numpy.array(llama.scores[:LENGTH]))
        return numpy.stack(answers)

    def one(family):
        folder = os.path.join(work, family)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**SIZES, **FAMILIES[family]})).float().eval()
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(folder)
        trained, base, lora, merged = [os.path.join(work, family + end) for end in ["-run", ".gguf", "-lora.gguf", "-merged.gguf"]]
        settings = {"model.source": folder, "data.path": rows, "data.layout": "tokens", "data.holdOut": 0, "plan.steps": 4, "adapter.lora.rank": 4,
                    "optimizer.adamW.learningRate": 0.02, "output": trained, "saving.every": 0, "saving.export": "[adapter, bnb-4bit, {gguf: q8_0}]"}
        swiftlet("train", "Nestling/quickstart.yaml", *[x for k, v in settings.items() for x in ["--set", f"{k}={v}"]], "--json", "--quiet")
        for source, path, kind in [(folder, base, ["gguf", "--type", "f32"]), (trained, lora, ["adapter", "--type", "gguf"]),
                                   (trained, merged, ["gguf", "--type", "f32"])]:
            swiftlet("export", source, "--format", *kind, "--output", path, "--json", "--quiet")
        plain, adapted = ours(folder), ours(trained)
        adapter, coded = os.path.join(trained, "export", "adapter"), os.path.join(trained, "export", "bnb-4bit")
        found = {
            "transformers": (theirs(model), plain), "PEFT": (theirs(PeftModel.from_pretrained(model, adapter).eval()), adapted),
            "llama.cpp": (llama_cpp(base), plain), "llama.cpp with the adapter": (llama_cpp(base, lora_path=lora), adapted),
            "llama.cpp, merged": (llama_cpp(merged), adapted),
        }
        # transformers 5 holds experts as stacks, which bitsandbytes does not code: it reads no 4-bit experts.
        if importlib.util.find_spec("bitsandbytes") and "experts" not in str(FAMILIES[family]):
            found["bitsandbytes"] = (theirs(four_bit(coded)[0]), ours(coded))
        differences = {name: float(abs(a - b).max()) for name, (a, b) in found.items()}
        moved = float(abs(adapted - plain).max())
        # ggml looks GELU up in a table of float16 numbers (GGML_GELU_FP16): no model with it is nearer than that.
        allowed = {name: 5e-3 if family.startswith("gemma") and name.startswith("llama.cpp") else 1e-3 for name in differences}
        check(f"family {family}: logits", all(d <= allowed[name] for name, d in differences.items()) and moved > 0.1,
              ", ".join(f"{name} {d:.1e} of {allowed[name]:.0e}" for name, d in differences.items()) + f"; training changed {moved:.1f}")

    for family in FAMILIES:
        attempt(f"family {family}", lambda f=family: one(f))
