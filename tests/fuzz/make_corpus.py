#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets to corpus/: small files, some valid, some broken in one place."""
import gzip
import hashlib
import json
import pathlib
import struct
import zlib

HERE = pathlib.Path(__file__).parent
PRESETS = HERE.parents[1] / "src" / "nn" / "presets"


def put(target, name, content):
    path = HERE / "corpus" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def safetensors(header, data=b""):
    text = header if isinstance(header, str) else json.dumps(header, separators=(",", ":"))
    return struct.pack("<Q", len(text)) + text.encode() + data


def make_safetensors():
    def tensor(dtype, shape, begin, end):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    three = {
        "__metadata__": {"gridspot": "1", "step": "10"},
        "a.weight": tensor("F32", [1, 2], 0, 8),
        "a.bias": tensor("F16", [2], 8, 12),
        "b": tensor("BF16", [], 12, 14),
        "none": tensor("F32", [0, 3], 14, 14),
    }
    data = struct.pack("<2f2e2s", 1.5, float("nan"), 0.5, 6e-8, b"\x80\x3f")
    put("safetensors", "three-types", safetensors(three, data))
    stated = safetensors({"__metadata__": {"sha256": "0" * 64}, "a": tensor("F32", [1], 0, 4)}, bytes(4))
    put("safetensors", "digest", stated.replace(b"0" * 64, hashlib.sha256(stated).hexdigest().encode()))
    put("safetensors", "digest-wrong", stated)
    put("safetensors", "no-tensor", safetensors({}))
    put("safetensors", "padded", safetensors('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   ', bytes(4)))
    one = {"a": tensor("F32", [2], 0, 8)}
    put("safetensors", "cut", safetensors(one, bytes(7)))
    put("safetensors", "hole", safetensors({**one, "b": tensor("F32", [1], 9, 13)}, bytes(13)))
    put("safetensors", "overlap", safetensors({**one, "b": tensor("F32", [1], 4, 8)}, bytes(8)))
    put("safetensors", "overflow", safetensors({"a": tensor("F32", [2**32, 2**32], 0, 0)}))
    put("safetensors", "negative", safetensors({"a": tensor("F32", [-1], 0, 4)}, bytes(4)))
    put("safetensors", "twice", safetensors('{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":0}', bytes(4)))
    put("safetensors", "other-dtype", safetensors({"a": tensor("I64", [1], 0, 8)}, bytes(8)))
    put("safetensors", "long-header", struct.pack("<Q", 2**63) + b"{}")


def idx(sizes, values, kind=8):
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, kind, len(sizes), *sizes) + values


def make_idx():
    images, labels = idx([2, 2, 3], bytes(range(12))), idx([3], bytes([0, 9, 255]))
    for name, content in {
        "images": images,
        "labels": labels,
        "cut": images[:-1],
        "followed": labels + b"x",
        "empty": idx([0, 2, 2], b""),
        "huge": idx([2**31 - 1, 2**31 - 1, 2], b"ab"),
        "floats": idx([1], bytes(4), kind=13),
    }.items():
        put("idx", name, content)
    packed = gzip.compress(images, mtime=0)
    put("idx", "images-gzip", packed)
    put("idx", "labels-gzip", gzip.compress(labels, mtime=0))
    put("idx", "cut-gzip", packed[:-5])
    put("idx", "checksum-gzip", packed[:-8] + bytes(4) + packed[-4:])
    put("idx", "followed-gzip", packed + b"x")
    put("idx", "long-gzip", gzip.compress(idx([64, 64, 64], bytes(64**3)), mtime=0))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows, before=b"", interlace=0, level=0):
    """The rows lie in the file as they are (level 0), so that mutations reach them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    packed = zlib.compress(rows, level)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def make_png():
    palette = chunk(b"PLTE", bytes([1, 2, 3, 40, 50, 60]))
    filters = b"".join(bytes([kind, 1, 2, 3]) for kind in range(5))
    for name, content in {
        "grey-1": png(4, 1, 1, 0, b"\0\xb0"),
        "grey-8-filters": png(3, 5, 8, 0, filters),
        "grey-16": png(1, 2, 16, 0, b"\0\x80\x80\0\xff\xff"),
        "grey-transparent": png(2, 1, 8, 0, b"\0\7\x08", chunk(b"tRNS", b"\0\7")),
        "rgb": png(2, 1, 8, 2, b"\0" + bytes(range(6))),
        "palette": png(2, 1, 8, 3, b"\0\1\0", palette + chunk(b"tRNS", b"\x80")),
        "palette-beyond": png(2, 1, 2, 3, b"\0\x30", palette),
        "grey-alpha": png(2, 1, 8, 4, b"\0\xc8\x80\xc8\0"),
        "rgb-alpha-16": png(1, 1, 16, 6, b"\0" + bytes(range(8))),
        "interlaced": png(2, 2, 8, 0, b"\0\1\0\2\0\3\4", interlace=1),
        "packed": png(64, 64, 8, 0, bytes(65 * 64), level=9),
        "text-and-gamma": png(1, 1, 8, 0, b"\0\1", chunk(b"gAMA", b"\0\0\xb1\x8f") + chunk(b"tEXt", b"a\0b")),
        "rows-missing": png(2, 2, 8, 0, b"\0\1\2"),
        "larger-than-it-can-be": png(8000, 8000, 8, 0, b"\0"),
        "no-palette": png(1, 1, 8, 3, b"\0\0"),
    }.items():
        put("png", name, content)
    put("png", "cut", png(2, 1, 8, 0, b"\0\1\2")[:-6])


def make_pnm():
    for name, content in {
        "p2": b"P2 # a comment\n3 2\n15\n0 1 2\n13 14 15\n",
        "p5": b"P5 2 2 255\n" + bytes([0, 1, 254, 255]),
        "p5-scaled": b"P5\n2 1\n7\n\0\7",
        "p5-wide": b"P5 2 1 65535\n\0\1\xff\xff",
        "p6": b"P6\r2\t1\n255 " + bytes(range(6)),
        "p4": b"P4 8 1\n\xff",
        "cut": b"P5 2 2 255\n\0\1\2",
        "above-maxval": b"P2 1 1 7 8",
        "huge": b"P5 99999999999 1 255\n",
        "followed": b"P2 1 1 7 7 x",
    }.items():
        put("pnm", name, content)


def make_yolo_labels():
    for name, content in {
        "two": "0 0.500000 0.250000 0.100000 0.200000\n79 0.9 0.9 0.2 0.2\n",
        "whole": "3 0.5 0.5 1 1",
        "blanks": " 1\t0.5 5e-1  .25 0.125 \r\n",
        "edges": "1 0 0.5 1e-6 1\n1 1 0.5 0.00001 1\n1 0.000005 0.999999 0.00002 0.00002\n",
        "empty": "",
        "empty-line": "\n",
        "class": "80 0.5 0.5 0.5 0.5\n",
        "four": "0 0.5 0.5 0.5\n",
        "outside": "0 0.1 0.5 0.5 0.5\n",
        "tiny": "0 0.5 0.5 1e-46 0.5\n",
        "no-number": "0 nan inf 0x1p-1 1e999\n",
    }.items():
        put("yolo_labels", name, content)


def make_data_yaml():
    for name, content in {
        "list": "path: digits\ntrain: images\nval: images\n\nnc: 3\nnames: [zero, 'one', \"two\"]\n",
        "map": "# a data set\npath: ../digits  # above\ntrain: images/train\nval: images/val\ntest:\nnames:\n  0: zero\n  1: one\n",
        "items": "train: a\nval: b\nnc: 2\nnames:\n- zero\n- 'it''s one'\n",
        "several": "train: [a, b]\nval:\n  - c\n  - d\nnames: ['0', '1']\n",
        "quotes": 'train: "a\\tb\\u00e9"\nval: \'b\'\'s\'\nnames: ["x: y", \'#\', "\\\\\\""]\n',
        "braces": "train: a\nval: b\nnames: {0: zero, 1: one}\n",
        "skipped": "download: |\n  import os\nnames:  # classes\n  1: one\n  0: zero\nroboflow:\n  version: 1\n",
        "windows": "train: a\r\nval: b\r\nnames:\r\n  0: zero\r\n",
        "count": "train: a\nval: b\nnc: 3\nnames: [zero, one]\n",
        "gap": "train: a\nval: b\nnames:\n  0: zero\n  2: two\n",
        "unclosed": "train: a\nval: b\nnames: [zero, 'one\n",
        "tabs": "train: a\n\tval: b\nnames: [zero]\n",
        "anchor": "train: &a b\nval: *a\nnames: !!seq [zero]\n---\n",
        "empty": "",
    }.items():
        put("data_yaml", name, content)


NETWORK = {
    "name": "tiny",
    "input": {"height": 16, "width": 16, "channels": 3, "mean": 0.1307, "deviation": 0.3081},
    "backbone": [
        {"type": "conv", "filters": 8, "size": 3, "stride": 1, "padding": 1, "activation": "leaky"},
        {"type": "max_pool", "size": 2, "stride": 2},
        {"type": "average_pool", "height": 2, "width": 2},
    ],
    "head": [{"type": "conv", "filters": 13, "size": 1, "activation": "none"}],
    "detector": {
        "cells": 2,
        "predictors": 2,
        "classes": 3,
        "size_coding": "linear",
        "prior_width": 0.2,
        "prior_height": 0.1,
        "class_loss": "bce",
    },
}


def changed(path, value):
    document = json.loads(json.dumps(NETWORK))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(document)


def make_network():
    for preset in ("quick", "seed-fc"):
        put("network", preset, (PRESETS / f"{preset}.json").read_text())
    put("network", "tiny", json.dumps(NETWORK, indent=1))
    put("network", "product", changed(["head"], [{"type": "fully_connected", "outputs": 52, "activation": "none"}]))
    classifier = {"cells": 2, "predictors": 0, "classes": 3, "class_loss": "multi_label"}
    put("network", "classifier", json.dumps({**NETWORK, "detector": classifier, "head": [{**NETWORK["head"][0], "filters": 3}]}))
    put("network", "layer-unknown", changed(["backbone", 1, "type"], "pool"))
    put("network", "key-unknown", changed(["detector", "cell"], 2))
    put("network", "even-size", changed(["backbone", 0, "size"], 2))
    put("network", "large", changed(["input", "height"], 2**31 - 1))
    put("network", "real-for-integer", changed(["input", "height"], 16.0))
    put("network", "name", changed(["name"], "\u00e9\u65e5\0\ud83d\ude00\""))
    put("network", "last-layer", changed(["head", 0, "filters"], 12))
    put("network", "twice", '{"name": "a", "name": "b"}')
    put("network", "number", '{"name": "a", "input": {"height": 1e999}}')
    put("network", "deep", "[" * 70 + "]" * 70)


CONFIG = {
    "gridspot": "0.1.0",
    "network": NETWORK,
    "protocol": {"name": "quick-64", "box": "tight", "shear": 0.1, "clutter": 3, "noise": 0.05, "min_contrast": 0.5, "inversion": 0.25},
    "data": "auto",
    "glyphs": "",
    "device": "cpu",
    "seed": 7,
    "steps": 100,
    "epoch_canvases": 1000,
    "batch": 16,
    "shards": 4,
    "precision": "fp32",
    "objectness_prior": 0.02,
    "loss": {"objectness_weight": 1.0, "no_object_weight": 0.5, "box_weight": 5.0, "class_weight": 1.0, "box_loss": "diou"},
    "optimizer": {
        "kind": "adamw",
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-08,
        "momentum": 0.9,
        "weight_decay": 0.0001,
        "clip_norm": 5.0,
        "ema_decay": 0.998,
        "schedule": {"kind": "one_cycle", "peak": 0.002, "warmup": 10, "final_fraction": 0.01},
    },
    "training_set": {"images": 1000, "folder": "", "digest": "", "strict": True, "shuffle": True},
    "backbone": {"file": "", "digest": "", "frozen_epochs": 1},
    "validation": {"every_epochs": 2, "count": 100, "seed": 3},
    "evaluation": {"count": 100, "seed": 1, "score_threshold": 0.01, "nms_threshold": 0.5, "class_agnostic": False, "capacity": 32},
    "checkpoint_every": 50,
    "keep_checkpoints": 2,
}


def make_run_config():
    put("run_config", "whole", json.dumps(CONFIG))
    least = {"network": NETWORK, "protocol": {"name": "seed-224"}}
    put("run_config", "least", json.dumps(least))
    for name, change in {
        "protocol-unknown": {"protocol": {"name": "seed-225"}},
        "key-unknown": {"step": 5},
        "network-broken": {"network": json.loads(changed(["head", 0, "filters"], 12))},
        "seed-large": {"seed": 2**64 - 1},
        "prior": {"objectness_prior": 1e-6},
        "schedule": {"optimizer": {"schedule": {"kind": "cosine", "peak": 1e-45, "warmup": 2**63}}},
    }.items():
        put("run_config", name, json.dumps({**least, **change}))


make_safetensors()
make_idx()
make_png()
make_pnm()
make_yolo_labels()
make_data_yaml()
make_network()
make_run_config()
