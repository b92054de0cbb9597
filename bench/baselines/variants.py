"""What compare.py runs: gridspot as it can be set up, and the ways in which users of PyTorch and ONNX Runtime make each kind of work fast."""
import dataclasses
import fnmatch
import pathlib

TRAIN, DETECT, ONNX = "torch_train.py", "torch_detect.py", "onnx_detect.py"

FAST = ["--layout", "channels_last", "--compile"]


@dataclasses.dataclass(frozen=True)
class Variant:
    kind: str
    name: str
    script: str
    flags: tuple
    threads: int = 0  # 0: as many as all others
    batch: int = 0  # 0: that of the comparison, in which it counts all the same: in images a second

    @property
    def label(self):
        return f"{self.kind}/{self.name}"


@dataclasses.dataclass(frozen=True)
class Ours:
    name: str
    flags: tuple = ()  # of gridspot bench
    training_flags: tuple = ()
    kinds: str = "*"  # of work that it is compared in, a pattern

    def takes(self, kind):
        return fnmatch.fnmatch(kind, self.kinds)


IN_FLOAT32 = "*[!)]"  # of the names of kinds; on CPUs work in bfloat16 is a kind of its own
IN_BFLOAT16 = "* (bf16)"


def multiplies_bfloat16():
    """Whether this processor does."""
    return any(flag in pathlib.Path("/proc/cpuinfo").read_text() for flag in ("avx512_bf16", "amx_bf16"))


def ours(cuda):
    if not cuda:
        return [Ours("tf32", ("--precision", "tf32"), kinds=IN_FLOAT32), Ours("fp32", ("--precision", "fp32"), kinds=IN_FLOAT32),
                Ours("bf16", ("--precision", "bf16"), kinds=IN_BFLOAT16)]
    tuned = ("--precision", "bf16", "--autotune")
    return [Ours("bf16 autotuned", tuned), Ours("bf16", ("--precision", "bf16")), Ours("tf32", ("--precision", "tf32")),
            Ours("bf16 autotuned, nondeterministic", (*tuned, "--set", "engines.deterministic=false"), ("--steps-per-launch", "8"))]


def training(cuda):
    """The first of each kind is the one that is expected to be best, for where time is short."""
    ways = {"eager": ["--layout", "channels_last"], "eager nchw": ["--layout", "nchw"]}
    if cuda:
        ways = {"bf16 compiled, graph": ["--precision", "bf16", *FAST, "--cuda-graphs"],
                "tf32 compiled, graph": ["--precision", "tf32", *FAST, "--cuda-graphs"],
                "bf16 compiled": ["--precision", "bf16", *FAST],
                "bf16 graph": ["--precision", "bf16", "--layout", "channels_last", "--cuda-graphs"],
                "tf32 eager": ["--precision", "tf32", "--layout", "nchw"],
                "fp32 eager": ["--layout", "nchw"]}
    else:
        ways["compiled"] = FAST
        ways["compiled nchw"] = ["--layout", "nchw", "--compile"]
    listed = [Variant(f"training, canvases {canvases}", name, TRAIN, ("--canvases", canvases, *flags))
              for canvases in ("memory", "composed", "png") for name, flags in ways.items()
              if canvases != "png" or "nchw" not in name]
    # As the original study's notebook trains: in float32, in batches of 16, which two workers read.
    listed.append(Variant("training, canvases png", "eager as the original, batch 16", TRAIN,
                          ("--canvases", "png", "--layout", "nchw", "--workers", "2"), batch=16))
    if not cuda and multiplies_bfloat16():
        listed += [Variant("training, canvases memory (bf16)", name, TRAIN, ("--canvases", "memory", "--precision", "bf16", *flags))
                   for name, flags in ways.items()]
    return listed


def detection(cuda, threads):
    if cuda:
        ways = {"bf16 compiled, graph": ["--precision", "bf16", *FAST, "--cuda-graphs"],
                "tf32 compiled, graph": ["--precision", "tf32", *FAST, "--cuda-graphs"],
                "bf16 compiled": ["--precision", "bf16", *FAST], "tf32 eager": ["--precision", "tf32", "--layout", "nchw"]}
        return [Variant("detection", name, DETECT, tuple(flags)) for name, flags in ways.items()]
    # Not every operation gains from a second thread at batch 1.
    result = []
    for count in sorted({1, threads}, reverse=True):
        end = f", {count} thread{'s' if count > 1 else ''}"
        result += [Variant("detection", "ONNX Runtime" + end, ONNX, (), count),
                   Variant("detection", "compiled" + end, DETECT, tuple(FAST), count),
                   Variant("detection", "eager" + end, DETECT, ("--layout", "channels_last"), count),
                   Variant("detection", "eager nchw" + end, DETECT, ("--layout", "nchw"), count)]
    return result
