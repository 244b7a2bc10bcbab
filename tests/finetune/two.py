"""Run by torchrun: one of the processes that do every job of a file together.

`torchrun ... -m tests.finetune.two FILE OUT` writes a folder per job, with its facts beside it.
"""

import json
import os
import sys
from pathlib import Path

import torch

from evenhand.finetune import run
from tests.finetune import test_writing, worlds


def main(file, out):
    torch.set_num_threads(1)
    data = {
        "text": worlds.data_of(worlds.texts()),
        "image": worlds.data_of(worlds.pictures()),
        "translation": test_writing.of_pairs(),
        "language": test_writing.of_questions(),
    }
    for name, (task, folder, method, changes) in json.loads(Path(file).read_text()).items():
        place = Path(out, name)
        place.mkdir(exist_ok=True)
        job = worlds.job_of(folder, method, **changes)
        facts = run.train(job, data[task], place, processes=int(os.environ["WORLD_SIZE"]))
        if facts:
            Path(out, f"{name}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
