"""What a run leaves is complete: PEFT's and transformers' own entry points give the run's predictions."""

import warnings

import numpy as np
import peft
import pyarrow.parquet as pq
import pytest
import transformers

from evenhand.finetune import run
from tests.finetune import worlds

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="module", params=[2, 9], ids=["2 classes", "9 classes"])
def left(request, tmp_path_factory):
    """Folders of a full run and a LoRA run, their rows and the number of classes."""
    place = tmp_path_factory.mktemp("left")
    base = worlds.folder_of(place, "roberta")
    data = worlds.data_of(worlds.texts(n=144, classes=request.param))
    for method in ("full", "lora"):
        (place / method).mkdir()
        run.train(worlds.job_of(base, method, epochs=1), data, place / method)
    return place, data, request.param


def of_run(folder, data):
    """The test texts with the run's scores, by class name."""
    table = pq.read_table(folder / "predictions.parquet").to_pydict()
    texts = dict(zip(data.examples.ids, data.examples.inputs, strict=True))
    return [
        (texts[name], dict(zip(data.examples.classes, score, strict=True)))
        for name, score, part in zip(table["example_id"], table["score"], table["split"], strict=True)
        if part == "test"
    ]


def test_a_pipeline_reads_a_full_model(left):
    place, data, n = left
    classify = transformers.pipeline("text-classification", str(place / "full" / "model"), top_k=None)
    for text, scores in of_run(place / "full", data):
        found = {entry["label"]: entry["score"] for entry in classify([text])[0]}
        assert found.keys() == scores.keys()
        assert len(found) == n
        np.testing.assert_allclose([found[name] for name in scores], list(scores.values()), atol=1e-5)


def test_peft_reads_an_adapter(left):
    place, data, n = left
    folder = str(place / "lora" / "adapter")
    config = peft.PeftConfig.from_pretrained(folder)
    assert config.task_type == "SEQ_CLS"
    # The base's own head has five classes, and no file of an adapter can say that to PEFT's loader.
    names = dict(enumerate(data.examples.classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.AutoPeftModelForSequenceClassification.from_pretrained(
            folder, num_labels=n, ignore_mismatched_sizes=True
        ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text, scores in of_run(place / "lora", data):
        logits = model(**tokenizer(text, return_tensors="pt")).logits
        found = logits.softmax(-1)[0].detach()
        for i, name in names.items():
            assert found[i] == pytest.approx(scores[name], abs=1e-5)


def test_a_processor_is_beside_pictures_models(tmp_path):
    base = worlds.folder_of(tmp_path, "vit")
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(base)
    for method, name in (("full", "model"), ("lora", "adapter")):
        (tmp_path / method).mkdir()
        run.train(worlds.job_of(base, method, epochs=1), worlds.data_of(worlds.pictures()), tmp_path / method)
        assert (tmp_path / method / name / "preprocessor_config.json").is_file()
