"""`evenhand audit` of generations and of likelihoods: the kind is found, the same options apply."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.judge.answers import answers, likelihoods

from evenhand.cli import main


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    for i, arm in enumerate(("none", "lora")):
        told = likelihoods(answers(80, [0.1 + 2 * i, -0.1], [0.6, -0.6], arm_seed=i))
        told["site"] = ["x" if int(e[1:]) % 2 else "y" for e in told["example_id"]]
        pq.write_table(pa.table(told), folder / f"{arm}.parquet")
    texts = [f'{{"example_id": {i}, "completion": "{"He" if i % 3 else "She"} left."}}' for i in range(60)]
    (folder / "texts.jsonl").write_text("\n".join(texts))
    return folder


def test_likelihoods(files, tmp_path, capsys):
    call = [
        "audit",
        str(files / "none.parquet"),
        str(files / "lora.parquet"),
        "--by",
        "site",
        "--scoring",
        "pride",
    ]
    outputs = {k: tmp_path / f"out.{k}" for k in ("json", "html", "csv")}
    assert main([*call, *(x for k, p in outputs.items() for x in (f"--{k}", str(p)))]) == 0
    document = json.loads(outputs["json"].read_text())
    assert document["schema"] == "evenhand.generative/1"
    assert document["kind"] == "likelihoods"
    assert document["scoring"] == "pride"
    assert {r["group"] for r in document["rates"] if r["attribute"] == "site"} == {"x", "y"}
    assert "<h1>" in outputs["html"].read_text()
    assert "token bias" in " ".join(capsys.readouterr().out.split())


def test_one_file_of_generations(files, capsys):
    assert main(["audit", str(files / "texts.jsonl"), "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "generations"
    shares = {r["metric"]: r["value"] for r in document["shares"] if r["attribute"] is None}
    assert shares["share_male"] == pytest.approx(2 / 3)


def test_the_gate(files):
    call = ["audit", str(files / "none.parquet"), str(files / "lora.parquet")]
    assert main([*call, "--fail-on", "harm"]) == 3
    assert main([call[0], call[1], call[1], "--name", "a", "--name", "b", "--fail-on", "harm"]) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--primary", "accuracy"], "'accuracy' is not a metric of likelihoods"),
        (["--scoring", "prid"], "did you mean 'pride'"),
        (["--weight", "site"], "--weight: likelihoods have no such column"),
        (["--by", "sit"], "did you mean 'site'"),
        (["--reference", "full"], "no arm is called 'full'"),
    ],
)
def test_wrong_calls(files, more, said, capsys):
    assert main(["audit", str(files / "none.parquet"), str(files / "lora.parquet"), *more]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_several_kinds(files, capsys):
    assert main(["audit", str(files / "none.parquet"), str(files / "texts.jsonl")]) == 2
    assert "several kinds" in " ".join(capsys.readouterr().err.split())
