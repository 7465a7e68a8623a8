"""Runs Swiftlet and its peers in turn, on the same machine, threads and dtype, and prints the ratios. Called by Scripts/bench."""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

arguments = argparse.ArgumentParser()
arguments.add_argument("swiftlet")
arguments.add_argument("--pairs", type=int, default=3)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--only", nargs="*", default=["matmul", "train", "decode"])
options = arguments.parse_args()
here = os.path.dirname(os.path.abspath(__file__))
config = os.path.join(here, "..", "llama-100m.json")
environment = dict(os.environ, SWIFTLET_THREADS=str(options.threads), OPENBLAS_NUM_THREADS=str(options.threads),
                   OPENBLAS_CORETYPE="SkylakeX", OMP_NUM_THREADS=str(options.threads), PYTHONWARNINGS="ignore")


def run(command):
    """The last JSON line of each key that a command prints, and the peak resident memory of the process."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        lines = [json.loads(line) for line in process.stdout if line.startswith("{")]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return lines, usage.ru_maxrss * 1024


def peer(program, *rest):
    return run([sys.executable, os.path.join(here, program), *rest])


def row(name, unit, ours, theirs, note=""):
    ratio = statistics.median(a / b for a, b in zip(ours, theirs))
    print(f"| {name} | {statistics.median(ours):,.1f} | {statistics.median(theirs):,.1f} | {unit} | {ratio:.2f} | {note} |", flush=True)


def speed(runs):
    return [lines[-1]["tokens_per_second"] for lines, _ in runs]


print("| what | Swiftlet | peer | unit | ratio (median of pairs) | peer is |\n| --- | --- | --- | --- | --- | --- |", flush=True)
if "matmul" in options.only:
    shapes = ["1024x1024x1024", "512x4096x4096", "2048x2048x768", "2048x768x2048"]
    pairs = [(run([options.swiftlet, "bench", "matmul", "--json", "--quiet"])[0], peer("matmul_peer.py", *shapes)[0]) for _ in range(options.pairs)]
    for shape in shapes:
        m, n, k = map(int, shape.split("x"))
        pick = lambda lines: max(l["gflops"] for l in lines if (l.get("m"), l.get("n"), l.get("k")) == (m, n, k))
        row(f"matmul {shape} float32", "GFLOP/s", [pick(a) for a, _ in pairs], [pick(b) for _, b in pairs], "OpenBLAS, SkylakeX kernels")
if "train" in options.only:
    ours, theirs = [], []
    for _ in range(options.pairs):
        ours.append(run([options.swiftlet, "bench", "--train", config, "--batch", "4", "--length", "512", "--json", "--quiet"]))
        theirs.append(peer("train_peer.py", config))
    row("LoRA SFT, Llama 110 M, 4×512", "tokens/s", speed(ours), speed(theirs), "transformers + PEFT")
    row("the same, peak of the process", "MB", [m / 1e6 for _, m in ours], [m / 1e6 for _, m in theirs], "transformers + PEFT")
if "decode" in options.only:
    ours, theirs = [], []
    for _ in range(options.pairs):
        ours.append(run([options.swiftlet, "bench", "--decode", config, "--batch", "1", "--length", "32", "--steps", "128", "--json", "--quiet"]))
        theirs.append(peer("decode_peer.py", config))
    row("generation, batch 1, Llama 110 M", "tokens/s", speed(ours), speed(theirs), "transformers")
