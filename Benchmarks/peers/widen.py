"""A model that computes the same with wider matrices, so that their rows fill the blocks of llama.cpp's K types: zeros in the stream, heads of zeros,
norms scaled so that the mean over more numbers changes nothing. For models laid out as Llama; called by interop.py."""
import json
import math
import os
import shutil

import numpy
from safetensors.numpy import load_file, save_file


def widen(folder, target, block=256):
    """Writes the model of `folder` (float32) to `target`; False where it is wide enough, or no Llama."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    hidden, heads, groups = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim") or hidden // heads
    if config["model_type"] != "llama" or (hidden % block == 0 and heads * head % block == 0):
        return False
    wide = -(-hidden // block) * block
    # Every key head gets the same number of new query heads, behind its own.
    more = next(n for n in range(heads // groups, 4096) if n * groups * head % block == 0)
    norm = math.sqrt(hidden / wide)

    def columns(x, count):
        return numpy.pad(x, ((0, 0), (0, count - x.shape[1])))

    def queries(x):
        split = x.reshape(groups, heads // groups, head, -1)
        return numpy.pad(split, ((0, 0), (0, more - heads // groups), (0, 0), (0, 0))).reshape(groups * more * head, -1)

    def change(name, x):
        if name.endswith("norm.weight"):
            return numpy.pad(x * norm, (0, wide - hidden)).astype(numpy.float32)
        if name.endswith("q_proj.weight"):
            return columns(queries(x), wide)
        if name.endswith("o_proj.weight"):
            return numpy.pad(queries(x.T).T, ((0, wide - hidden), (0, 0)))
        if name.endswith("down_proj.weight"):
            return numpy.pad(x, ((0, wide - hidden), (0, 0)))
        return columns(x, wide)

    os.makedirs(target)
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    save_file({name: numpy.ascontiguousarray(change(name, x)) for name, x in tensors.items()}, os.path.join(target, "model.safetensors"),
              metadata={"format": "pt"})
    config.update(hidden_size=wide, num_attention_heads=groups * more, head_dim=head, rms_norm_eps=config["rms_norm_eps"] * hidden / wide)
    with open(os.path.join(target, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    for name in os.listdir(folder):
        if name.startswith(("tokenizer", "special", "generation", "chat_template")):
            shutil.copy(os.path.join(folder, name), target)
    return True
