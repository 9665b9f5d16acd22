"""Weights and scene files go to a hub and come back; the hub is a small server of this process."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from core.models import load_model
from core.scene_file import SceneHeader, SceneWriter
from core.scene_file.hub import find_scene
from core.types import DynamicGaussians
from tools import push

pytestmark = pytest.mark.slow
Push = Callable[..., None]


class Hub(ThreadingHTTPServer):
    """Keeps repositories in memory and answers what the client library asks about them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        """Files by name, by ``models/owner/name`` or ``datasets/owner/name``."""
        self.private: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, content: object, status: int = 200, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers["Authorization"] != "Bearer hf_mine":
            self.answer({"error": "who are you?"}, 401)
            return
        _, _, *parts = self.path.split("/")
        address = f"http://127.0.0.1:{self.server.server_port}"
        if parts == ["repos", "create"]:
            asked = json.loads(body)
            kind = asked.get("type") or "model"
            repository = f"{kind}s/{asked['organization']}/{asked['name']}"
            self.server.repositories.setdefault(repository, {})
            if asked.get("private") or asked.get("visibility") == "private":
                self.server.private.add(repository)
            place = repository.removeprefix("models/")
            self.answer({"url": f"{address}/{place}"})
        elif parts == ["validate-yaml"]:
            self.answer({"errors": [], "warnings": []})
        elif parts[3] == "preupload":
            files = json.loads(body)["files"]
            entries = [{"path": f["path"], "uploadMode": "regular"} for f in files]
            self.answer({"files": [entry | {"shouldIgnore": False} for entry in entries]})
        elif parts[3] == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.repositories["/".join(parts[:3])][line["value"]["path"]] = content
            place = "/".join(parts[:3]).removeprefix("models/")
            self.answer({"commitUrl": f"{address}/{place}/commit/0", "commitOid": "0" * 40})

    def do_GET(self) -> None:
        parts = self.path.strip("/").split("/")
        if parts[0] != "datasets":
            parts = ["models", *parts]
        files = self.server.repositories.get("/".join(parts[:3]), {})
        content = files.get("/".join(parts[5:]))
        if content is None:
            self.answer(b"", 404, X_Error_Code="EntryNotFound")
            return
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        self.answer(content, X_Repo_Commit="0" * 40, ETag=etag)

    def do_HEAD(self) -> None:
        self.do_GET()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Push:
    def start(*values: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["push", *map(str, values)])
        push.main()

    return start


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "result" / "scene.ssplat"
    header = SceneHeader(image_size=(8, 8), grid_size=(2, 2), frame_size=(8, 8))
    zeros = torch.zeros(1, 4)
    still = DynamicGaussians(
        means=torch.rand(1, 4, 3),
        motion=torch.zeros(1, 4, 0, 3),
        scales=torch.full((1, 4, 3), 0.1),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, 4, 4),
        colors=torch.rand(1, 4, 3),
        opacities=zeros + 0.9,
        opacity_slopes=zeros,
        opacity_half_lives=zeros + 0.5,
        anchor_times=zeros,
    )
    with SceneWriter(path, header) as writer:
        writer.append(still, 0.0, 0.0, opens=True)
    return path


def test_weights_go_and_come_back(run: Push, hub: Hub, small_model: Path) -> None:
    run(small_model, "owner/small", "--private")
    files = hub.repositories["models/owner/small"]
    assert set(files) == {"config.json", "model.safetensors", "README.md"}
    assert files["README.md"].startswith(b"---\nlibrary_name: streamsplat\n---\n")
    assert hub.private == {"models/owner/small"}
    loaded, original = load_model("owner/small"), load_model(small_model)
    for name, value in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_a_card_is_kept(run: Push, hub: Hub, small_model: Path, tmp_path: Path) -> None:
    shutil.copytree(small_model, tmp_path / "mine")
    (tmp_path / "mine" / "README.md").write_text("# mine\n")
    (tmp_path / "mine" / "failures.jpg").write_bytes(b"picture")
    run(tmp_path / "mine", "owner/small")
    run(small_model, "owner/small")
    assert hub.repositories["models/owner/small"]["README.md"] == b"# mine\n"
    assert hub.repositories["models/owner/small"]["failures.jpg"] == b"picture"


def test_scenes_go_and_come_back(run: Push, hub: Hub, scene: Path) -> None:
    run(scene.parent, "owner/clips")
    other = scene.with_name("other.ssplat")
    shutil.copy(scene, other)
    run(other, "owner/clips")
    files = hub.repositories["datasets/owner/clips"]
    assert set(files) == {"scene.ssplat", "other.ssplat", "README.md"}
    assert b"render.py owner/clips` " in files["README.md"]
    for reference in ("owner/clips", "owner/clips/other.ssplat"):
        assert find_scene(reference).read_bytes() == scene.read_bytes()


@pytest.mark.parametrize(
    ("what", "repository", "message"),
    [
        ("result", "no id", "no id: expected the id of a repository like owner/name"),
        ("result/absent.ssplat", "owner/name", "absent.ssplat"),
        (".", "owner/name", "holds no config.json"),
    ],
)
def test_mistakes_are_one_line(
    run: Push,
    hub: Hub,
    scene: Path,
    capsys: pytest.CaptureFixture[str],
    what: str,
    repository: str,
    message: str,
) -> None:
    with pytest.raises(SystemExit) as end:
        run(scene.parents[1] / what, repository)
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert hub.repositories == {}


def test_who_may_not_write_is_told_to_log_in(
    run: Push, scene: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(SystemExit):
        run(scene, "owner/name")
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: owner/name: the Hugging Face hub did not take it")
    assert "hf auth login" in error


def test_a_hub_that_does_not_answer_is_one_line(
    run: Push, hub: Hub, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(SystemExit):
        run(scene, "owner/name")
    assert "did not take it (ConnectError" in capsys.readouterr().err
