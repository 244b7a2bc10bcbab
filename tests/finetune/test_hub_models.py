"""Why a model or a dataset cannot be had from the hub; the hub is a small server of the test's own."""

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "c" * 40
GATED = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model is restricted."}
#: What the hub answers to whoever asks for a repository: status, headers, content.
ANSWERS = {
    "team/limited": (429, {"X-Error-Message": "We had to rate limit you"}, b"{}"),
    "team/token": (401, {"X-Error-Message": "Invalid user token."}, b'{"error": "Invalid user token."}'),
    "team/private": (401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}, b"{}"),
    "team/down": (503, {}, b"busy"),
    "team/broken": (500, {}, b"{}"),
    "team/forbidden": (403, {"X-Error-Message": "no"}, b"{}"),
}
#: What it answers to whoever asks for a file.
CLOSED = {"team/gated": (401, GATED, b""), "team/waiting": (403, GATED, b"")}

#: Prints, by hub id, what the preparation, a dry run and a dataset say.
ASK = """
import json, sys
from evenhand.datasets.lib.reading.files import download_tables
from evenhand.errors import InputError
from evenhand.finetune import Job, Model, Training
from evenhand.finetune.estimate import size
from evenhand.finetune.modeling.pretrained import load_base

def said(ask):
    try:
        found = ask()
    except InputError as error:
        return str(error)
    return " ".join(getattr(found, "remarks", ("fine",)))

told = {}
for name in sys.argv[1:]:
    job = Job("lora", Model(name), "lora", {}, Training(0.1, 1), 1)
    told[name] = {
        "dry": said(lambda: size.estimate_sizes([job], "text", ("no", "yes"), 8)),
        "run": said(lambda: load_base(job.model, "text", ("no", "yes"), "float32")),
        "data": said(lambda: download_tables(name, files=None, revision=None)),
    }
print(json.dumps(told))
"""


class Hub(BaseHTTPRequestHandler):
    """Serves the folders in `files` as repositories of the owner `team`."""

    files: Path
    asked: list[str]

    def log_message(self, *_):
        """Keep quiet."""

    def answer(self, status, headers, content):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        parts = self.path.split("?")[0].strip("/").split("/")
        about = parts[0] == "api"
        name = "/".join(parts[2:4] if about else parts[:2])
        place = self.files / name
        if name in ANSWERS:
            return self.answer(*ANSWERS[name])
        if about and place.is_dir() and parts[1] == "models":
            names = sorted(p.name for p in place.iterdir())
            if parts[4:5] == ["tree"]:
                listed = [
                    {"type": "file", "path": n, "size": (place / n).stat().st_size, "oid": "b" * 40}
                    for n in names
                ]
                return self.answer(200, {"Content-Type": "application/json"}, json.dumps(listed).encode())
            told = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]}
            return self.answer(200, {"Content-Type": "application/json"}, json.dumps(told).encode())
        if name in CLOSED:
            return self.answer(*CLOSED[name])
        if not about and (place / parts[-1]).is_file():
            self.asked.append("/".join((name, parts[-1])))
            return self.answer(
                200,
                {"ETag": f'"{parts[-1]}"', "X-Repo-Commit": COMMIT},
                (place / parts[-1]).read_bytes(),
            )
        return self.answer(404, {"X-Error-Code": "RepoNotFound"}, b"{}")


@contextmanager
def served(handler):
    """Address of a server that answers until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def hub(folders, tmp_path_factory):
    """Address of the hub, its folders, and what was downloaded."""
    Hub.files, Hub.asked = tmp_path_factory.mktemp("hub"), []
    for name in ("gated", "waiting", "good", "pickle", "adapter", "quantised"):
        shutil.copytree(folders["bert"], Hub.files / "team" / name)
    team = Hub.files / "team"
    (team / "pickle" / "model.safetensors").rename(team / "pickle" / "pytorch_model.bin")
    (team / "good" / "consolidated.safetensors").write_bytes(b"the same once more")
    for file in ("config.json", "model.safetensors"):
        (team / "adapter" / file).unlink()
    (team / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "team/good"}')
    config = json.loads((team / "quantised" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq"}
    (team / "quantised" / "config.json").write_text(json.dumps(config))
    with served(Hub) as address:
        yield address


def ask(hub, home, *names, **environment):
    """What is said of hub ids by a process of its own, which knows this hub only."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    own = {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *names], env=kept | own, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def told(hub, tmp_path_factory):
    """What is said without a token."""
    names = (*ANSWERS, *CLOSED, "team/good", "team/pickle", "team/adapter", "team/quantised", "team/nobody")
    return ask(hub, tmp_path_factory.mktemp("home"), *names)


REASONS = [
    ("limited", "limits the rate of requests (429); try again later"),
    ("token", "rejects your token as invalid (401)"),
    ("private", "the model does not exist on the hub, or it is private"),
    ("down", "server error (503); try again later"),
    ("broken", "server error (500); try again later"),
    ("forbidden", "does not let your token read it (403)"),
    ("gated", "it is gated: "),
    ("gated", "`hf auth login` or set HF_TOKEN"),
    ("waiting", "the account of your token does not have access (yet)"),
    ("pickle", "has only pytorch_model.bin, which is a pickle"),
    ("adapter", "is an adapter for 'team/good'"),
    ("quantised", "its weights are quantised"),
    ("nobody", "the model does not exist on the hub, or it is private"),
]


@pytest.mark.parametrize(("name", "reason"), REASONS)
def test_the_reason_reaches_the_user(name, reason, told):
    assert reason in told[f"team/{name}"]["run"]
    assert f"model 'team/{name}'" in told[f"team/{name}"]["run"]
    assert "does not answer" not in told[f"team/{name}"]["run"]


@pytest.mark.parametrize(("name", "reason"), REASONS)
def test_a_dry_run_says_it_too(name, reason, told):
    assert reason in told[f"team/{name}"]["dry"]


@pytest.mark.parametrize(("name", "reason"), [r for r in REASONS if f"team/{r[0]}" in ANSWERS])
def test_datasets_say_it_too(name, reason, told):
    assert reason.replace("model", "dataset") in told[f"team/{name}"]["data"]
    assert "cannot be reached" not in told[f"team/{name}"]["data"]


def test_terms_are_at_the_models_page(hub, told):
    assert f"accept its terms at {hub}/team/gated" in told["team/gated"]["run"]


def test_a_good_model_is_downloaded_once(told):
    assert told["team/good"] | {"data": ""} == {"dry": "", "run": "fine", "data": ""}
    assert "team/good/consolidated.safetensors" not in Hub.asked
    assert "team/good/model.safetensors" in Hub.asked


@pytest.mark.parametrize("name", ["pickle", "adapter", "quantised"])
def test_no_weights_are_downloaded_in_vain(name, told):
    assert not [file for file in Hub.asked if file.startswith(f"team/{name}/") and "model" in file]


def test_a_token_that_is_refused_without_words(hub, tmp_path, monkeypatch):
    monkeypatch.setitem(ANSWERS, "team/token", (401, {}, b"{}"))
    with_one = ask(hub, tmp_path, "team/token", HF_TOKEN="hf_old")["team/token"]["run"]
    without = ask(hub, tmp_path, "team/token")["team/token"]["run"]
    assert "rejects your token as invalid (401)" in with_one
    assert "your token" not in without
    assert "run `hf auth login` or set HF_TOKEN" in without


def test_what_was_downloaded_earlier_serves_when_the_hub_is_down(hub, tmp_path, monkeypatch):
    assert ask(hub, tmp_path, "team/good")["team/good"]["run"] == "fine"
    for status in (429, 503):
        monkeypatch.setitem(ANSWERS, "team/good", (status, {}, b"{}"))
        assert ask(hub, tmp_path, "team/good")["team/good"]["run"] == "fine"


def test_no_answer_at_all(tmp_path):
    found = ask("http://127.0.0.1:9", tmp_path, "team/good")["team/good"]
    assert "http://127.0.0.1:9 does not answer, and it was not downloaded earlier" in found["run"]
    assert "Without a network, put config.json" in found["run"]
    assert "cannot be reached" in found["data"]
