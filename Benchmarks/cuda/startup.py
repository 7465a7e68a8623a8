#!/usr/bin/env python3
"""Measures the time from the start of `train` to its first finished step, with a 4-bit checkpoint of random numbers on the local disk.

    startup.py SWIFTLET FOLDER [--device cuda] [--shape llama3-8b]

Writes a checkpoint as bitsandbytes has them (NF4, scales coded too) and rows of token ids into FOLDER, then trains two steps twice: first with
an empty cache of kernels, then with a warm one. Needs numpy.
"""
import argparse, json, os, shutil, subprocess, time
import numpy as np

SHAPES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "shapes")
NF4 = [-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
       0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
       0.7229568362236023, 1]


def tensors(config, random):
    """Yields name, dtype, shape and bytes, in the order of the file."""
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    wide, narrow = head * config["num_attention_heads"], head * config["num_key_value_heads"]

    def dense(name, *shape):
        # bf16 numbers about 0.02 in size.
        count = int(np.prod(shape))
        bits = random.integers(0, 1 << 16, count, dtype=np.uint16)
        yield name, "BF16", shape, (bits & 0x80FF | 0x3C00).astype(np.uint16)

    def ones(name, count):
        yield name, "BF16", (count,), np.full(count, 0x3F80, np.uint16)

    def coded(name, rows, columns):
        blocks = rows * columns // 64
        nested = -(-blocks // 256)
        state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [rows, columns], "nested_blocksize": 256,
                 "nested_dtype": "float32", "nested_offset": 0.05}
        yield name, "U8", (rows * columns // 2, 1), random.integers(0, 256, rows * columns // 2, dtype=np.uint8)
        yield name + ".absmax", "U8", (blocks,), random.integers(0, 256, blocks, dtype=np.uint8)
        yield name + ".nested_absmax", "F32", (nested,), np.full(nested, 0.02, np.float32)
        yield name + ".nested_quant_map", "F32", (256,), np.linspace(-1, 1, 256, dtype=np.float32)
        yield name + ".quant_map", "F32", (16,), np.array(NF4, np.float32)
        text = np.frombuffer(json.dumps(state).encode(), np.uint8)
        yield name + ".quant_state.bitsandbytes__nf4", "U8", (len(text),), text

    yield from dense("model.embed_tokens.weight", config["vocab_size"], hidden)
    for layer in range(layers):
        place = f"model.layers.{layer}."
        yield from ones(place + "input_layernorm.weight", hidden)
        yield from ones(place + "post_attention_layernorm.weight", hidden)
        for name, rows, columns in (("self_attn.q_proj", wide, hidden), ("self_attn.k_proj", narrow, hidden), ("self_attn.v_proj", narrow, hidden),
                                    ("self_attn.o_proj", hidden, wide), ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden),
                                    ("mlp.down_proj", hidden, inner)):
            yield from coded(place + name + ".weight", rows, columns)
    yield from ones("model.norm.weight", hidden)
    if not config.get("tie_word_embeddings"):
        yield from dense("lm_head.weight", config["vocab_size"], hidden)


def write(folder, config):
    os.makedirs(folder, exist_ok=True)
    json.dump(config, open(f"{folder}/config.json", "w"))
    header, place = {}, 0
    with open(f"{folder}/data", "wb") as data:
        for name, dtype, shape, numbers in tensors(config, np.random.default_rng(1)):
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, place + numbers.nbytes]}
            place += numbers.nbytes
            data.write(numbers.tobytes())
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(f"{folder}/model.safetensors", "wb") as file, open(f"{folder}/data", "rb") as data:
        file.write(len(text).to_bytes(8, "little") + text)
        shutil.copyfileobj(data, file, 1 << 24)
    os.remove(f"{folder}/data")


def seconds_to_first_step(options, work, cache):
    run = f"{work}/run"
    shutil.rmtree(run, ignore_errors=True)
    command = [options.swiftlet, "train", f"{work}/recipe.yaml", "--quiet", "--device", options.device]
    start = time.time()
    process = subprocess.Popen(command, env={**os.environ, "SWIFTLET_CACHE": cache}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        if os.path.exists(f"{run}/metrics.jsonl") and os.path.getsize(f"{run}/metrics.jsonl"):
            found = time.time() - start
            process.kill()
            process.wait()
            return found
        time.sleep(0.005)
    raise SystemExit(process.stderr.read().decode())


parser = argparse.ArgumentParser()
parser.add_argument("swiftlet")
parser.add_argument("folder")
parser.add_argument("--device", default="cuda")
parser.add_argument("--shape", default=f"{SHAPES}/llama3-8b.json")
parser.add_argument("--length", type=int, default=2048)
options = parser.parse_args()
work = os.path.abspath(options.folder)
config = json.load(open(options.shape))
if not os.path.exists(f"{work}/model/model.safetensors"):
    write(f"{work}/model", config)
with open(f"{work}/rows.jsonl", "w") as file:
    ids = np.random.default_rng(2).integers(0, config["vocab_size"], (16, options.length)).tolist()
    file.writelines(json.dumps({"input_ids": row, "labels": row}) + "\n" for row in ids)
with open(f"{work}/recipe.yaml", "w") as file:
    file.write(f"""model: {{source: {work}/model, contextLength: {options.length}}}
adapter: {{lora: {{rank: 64, alpha: 128}}}}
data: {{path: {work}/rows.jsonl, layout: tokens, shuffle: false, holdOut: 0}}
method: {{sft: {{packing: false}}}}
optimizer: {{adamW8bit: {{learningRate: 1.0e-4}}}}
plan: {{steps: 4, batchSize: 4, accumulation: 1}}
memory: {{checkpoint: everyBlock}}
output: {work}/run
""")
shutil.rmtree(f"{work}/cache", ignore_errors=True)
size = os.path.getsize(f"{work}/model/model.safetensors")
for state in ("empty", "warm", "warm"):
    print(f"checkpoint of {size / 1e9:.2f} GB, kernel cache {state}: {seconds_to_first_step(options, work, f'{work}/cache'):.2f} s to the first step", flush=True)
