"""Hub datasets: downloaded, from the cache, or told what to place where; the hub is played by the test."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evenhand.datasets import table
from evenhand.errors import InputError
from tests.datasets import sample

hub = pytest.importorskip("huggingface_hub")


class Unreachable(Exception):
    pass


class Hub:
    """A hub with one dataset, whose author gave csv files; the parquet files are in the hub's own branch."""

    def __init__(
        self, folder, monkeypatch, *, files=("data/a-0.parquet", "README.md"), converted=(), up=True
    ):
        self.folder, self.files, self.converted, self.up, self.got = folder, files, converted, up, []
        monkeypatch.setattr(hub, "HfApi", lambda: self)
        monkeypatch.setattr(hub, "hf_hub_download", self.download)
        monkeypatch.setattr(hub, "snapshot_download", self.snapshot)

    def dataset_info(self, name, revision=None, timeout=None):
        if not self.up:
            raise Unreachable("no route")
        listed = self.converted if revision == "refs/convert/parquet" else self.files
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=f) for f in listed])

    def download(self, name, file, repo_type, revision=None):
        assert repo_type == "dataset"
        self.got.append((name, file, revision))
        return str(self.folder / "a.parquet")

    def snapshot(self, name, repo_type, revision, local_files_only):
        assert local_files_only
        if not (self.folder / "cache").is_dir():
            raise hub.errors.LocalEntryNotFoundError("nothing here")
        return str(self.folder / "cache")


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = pa.Table.from_pylist(sample.posts())
    pq.write_table(made, tmp_path / "a.parquet")
    return made


CONFIG = table.Config(path="someone/posts", text="text", id="name")


def test_parquet_files_of_a_dataset(rows, tmp_path, monkeypatch):
    served = Hub(tmp_path, monkeypatch)
    assert len(table.load(CONFIG).ids) == 40
    assert served.got == [("someone/posts", "data/a-0.parquet", None)]


def test_the_hubs_own_parquet_files(rows, tmp_path, monkeypatch):
    served = Hub(tmp_path, monkeypatch, files=("posts.py",), converted=("default/train/0000.parquet",))
    assert len(table.load(CONFIG).ids) == 40
    assert served.got == [("someone/posts", "default/train/0000.parquet", "refs/convert/parquet")]


def test_a_revision(rows, tmp_path, monkeypatch):
    served = Hub(tmp_path, monkeypatch)
    table.load(CONFIG.model_copy(update={"revision": "v2", "files": "data/*"}))
    assert served.got[0][2] == "v2"


def test_without_a_network_the_cache_is_read(rows, tmp_path, monkeypatch):
    (tmp_path / "cache").mkdir()
    pq.write_table(rows, tmp_path / "cache" / "x.parquet")
    Hub(tmp_path, monkeypatch, up=False)
    assert len(table.load(CONFIG).ids) == 40


def test_without_a_network_a_folder_of_that_name_is_read(rows, tmp_path, monkeypatch):
    Hub(tmp_path, monkeypatch, up=False)
    with pytest.raises(InputError) as raised:
        table.load(CONFIG)
    said = str(raised.value)
    assert "the hub cannot be reached (Unreachable)" in said
    assert "place its files (*.parquet, from https://huggingface.co/datasets/someone/posts/tree/main)" in said
    assert "in a folder 'someone/posts'" in said
    (tmp_path / "someone" / "posts" / "data").mkdir(parents=True)
    pq.write_table(rows, tmp_path / "someone" / "posts" / "data" / "x.parquet")
    assert len(table.load(CONFIG).ids) == 40


def test_a_dataset_without_tables(rows, tmp_path, monkeypatch):
    Hub(tmp_path, monkeypatch, files=("posts.py",))
    with pytest.raises(InputError, match="holds no parquet, jsonl or csv file"):
        table.load(CONFIG)


def test_a_dataset_that_does_not_exist(rows, tmp_path, monkeypatch):
    served = Hub(tmp_path, monkeypatch)
    missing = type("RepositoryNotFoundError", (Exception,), {})
    monkeypatch.setattr(served, "dataset_info", lambda *a, **k: (_ for _ in ()).throw(missing("404")))
    with pytest.raises(InputError, match="the dataset does not exist on the hub, or it is private"):
        table.load(CONFIG)
