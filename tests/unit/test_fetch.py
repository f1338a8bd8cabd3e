"""The fetch command against a server on this machine that behaves as badly as the real ones."""

import hashlib
import http.server
import json
import threading
from contextlib import contextmanager

import pytest

from converters import download, fetcher
from shared.errors import UserError

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/whole has ranges; /cut sends 100,000 bytes of what is asked, then hangs up; /plain has no ranges."""

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        if self.path == "/page":
            return self.reply(200, b"<html>sorry</html>", kind="text/html")
        if self.path not in ("/whole", "/cut", "/plain"):
            return self.send_error(404)
        start = 0
        if self.headers.get("Range") and self.path != "/plain":
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            return self.reply(416, b"", ContentRange=f"bytes */{len(CONTENT)}")
        body = CONTENT[start:]
        return self.reply(206 if start else 200, body, cut=100_000 if self.path == "/cut" else None)

    def reply(self, status, body, kind="application/octet-stream", cut=None, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("ContentRange", "Content-Range"), value)
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, *arguments):
        pass


@contextmanager
def serving():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.ranges = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(download, "_PAUSE", 0)


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_port}"


def entry(*urls, **changes):
    values = {"size": len(CONTENT), "hashes": {"sha256": SHA256}, "hashes_from": "the test", **changes}
    return fetcher.Entry("small", "a test", "coco18", "w.bin", urls, "free for all", False, **values)


def test_a_download_is_whole_and_has_a_receipt(url, tmp_path):
    target = fetcher.fetch(entry(f"{url}/whole"), tmp_path)

    assert target.read_bytes() == CONTENT
    receipt = json.loads((tmp_path / "w.bin.fetched.json").read_text())
    assert (receipt["sha256"], receipt["licence"]) == (SHA256, "free for all")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.bin", "w.bin.fetched.json"]


def test_a_connection_that_breaks_off_is_taken_up_where_it_stopped(server, url, tmp_path):
    fetcher.fetch(entry(f"{url}/cut"), tmp_path)

    assert (tmp_path / "w.bin").read_bytes() == CONTENT
    assert server.ranges[:3] == [None, "bytes=100000-", "bytes=200000-"]


def test_a_later_run_goes_on_with_the_part_of_an_earlier_one(server, url, tmp_path):
    (tmp_path / "w.bin.part").write_bytes(CONTENT[:300_000])

    fetcher.fetch(entry(f"{url}/whole"), tmp_path)

    assert (tmp_path / "w.bin").read_bytes() == CONTENT
    assert server.ranges == ["bytes=300000-"]


def test_a_part_that_is_already_whole_is_used(url, tmp_path):
    (tmp_path / "w.bin.part").write_bytes(CONTENT)

    assert fetcher.fetch(entry(f"{url}/whole"), tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again_from_the_beginning(url, tmp_path):
    (tmp_path / "w.bin.part").write_bytes(b"x" * 1000)

    assert fetcher.fetch(entry(f"{url}/plain"), tmp_path).read_bytes() == CONTENT


def test_without_a_hash_an_old_part_is_not_trusted(server, url, tmp_path):
    (tmp_path / "w.bin.part").write_bytes(b"x" * 1000)

    fetcher.fetch(entry(f"{url}/whole", hashes={}), tmp_path)

    assert server.ranges == [None]


def test_a_wrong_hash_leaves_nothing(url, tmp_path, capsys):
    with pytest.raises(UserError, match="none of its 1 addresses gave the file"):
        fetcher.fetch(entry(f"{url}/whole", hashes={"md5": "0" * 32}), tmp_path)

    assert "md5" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("path", "changes", "reason"),
    [
        ("/nothing", {}, "404"),
        ("/page", {}, "a web page"),
        ("/whole", {"size": 7}, "has 512000 bytes, expected 7"),
        ("file:///etc/hostname", {}, "expected an http or https address"),
    ],
)
def test_a_wrong_answer_says_what_it_was(url, tmp_path, capsys, path, changes, reason):
    address = path if path.startswith("file:") else url + path

    with pytest.raises(UserError, match="give it with --file"):
        fetcher.fetch(entry(address, **changes), tmp_path)

    assert reason in capsys.readouterr().err


def test_the_next_address_is_tried_when_one_is_gone(url, tmp_path):
    assert fetcher.fetch(entry(f"{url}/nothing", f"{url}/whole"), tmp_path).read_bytes() == CONTENT


def test_a_server_that_is_not_there_is_given_up(tmp_path, capsys):
    with serving() as gone:
        address = f"http://127.0.0.1:{gone.server_port}/whole"

    with pytest.raises(UserError, match="none of its 1 addresses"):
        fetcher.fetch(entry(address), tmp_path)

    assert "run the same command again" in capsys.readouterr().err


def test_a_file_at_hand_needs_no_network(tmp_path):
    mine = tmp_path / "mine.bin"
    mine.write_bytes(CONTENT)

    target = fetcher.fetch(entry("http://127.0.0.1:9/w", prototxt="http://127.0.0.1:9/p"), tmp_path, file=mine)

    assert target.read_bytes() == CONTENT
    assert mine.exists()


def test_a_wrong_file_at_hand_is_refused(tmp_path):
    mine = tmp_path / "mine.bin"
    mine.write_bytes(CONTENT[:-1])

    with pytest.raises(UserError, match="511999 bytes, expected 512000"):
        fetcher.fetch(entry(), tmp_path / "out", file=mine)

    assert not (tmp_path / "out").exists()


def test_a_file_that_is_already_there_is_verified_again(tmp_path):
    (tmp_path / "w.bin").write_bytes(CONTENT[::-1])

    with pytest.raises(UserError, match="sha256"):
        fetcher.fetch(entry(), tmp_path)


def test_without_a_published_hash_the_first_fetch_binds_the_next(url, tmp_path, capsys):
    unknown = entry(f"{url}/whole", size=None, hashes={})
    fetcher.fetch(unknown, tmp_path)
    assert "not verified" in capsys.readouterr().err
    (tmp_path / "w.bin").write_bytes(b"another")

    with pytest.raises(UserError, match="from the first fetch"):
        fetcher.fetch(unknown, tmp_path)


def test_a_missing_prototxt_is_told_but_the_weights_stay(url, tmp_path, capsys):
    target = fetcher.fetch(entry(f"{url}/whole", prototxt=f"{url}/nothing"), tmp_path)

    assert target.exists()
    assert "no prototxt" in capsys.readouterr().err


@pytest.fixture
def small_list(url, tmp_path, monkeypatch):
    path = tmp_path / "weights.toml"
    path.write_text(
        f'[small]\nwhat = "a test"\nmodel = "coco18"\nfile = "w.bin"\nsize = {len(CONTENT)}\n'
        f'sha256 = "{SHA256}"\nurls = ["{url}/whole"]\nlicence = "not for sale"\nnon_commercial = true\n'
    )
    monkeypatch.setattr(fetcher, "LIST", path)
    return path


def test_a_non_commercial_licence_without_consent_stops_the_command(small_list, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    code = fetcher.main(["small", "--out", str(tmp_path / "out")])

    assert code == 2
    assert "not for sale" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 2)])
def test_on_a_terminal_the_command_asks(small_list, tmp_path, monkeypatch, answer, code):
    class Terminal:
        isatty = staticmethod(lambda: True)
        readline = staticmethod(lambda: answer)

    monkeypatch.setattr("sys.stdin", Terminal)

    assert fetcher.main(["small", "--out", str(tmp_path / "out")]) == code


def test_with_consent_the_command_prints_the_path(small_list, tmp_path, capsys):
    assert fetcher.main(["small", "--out", str(tmp_path / "out"), "--accept-licence"]) == 0

    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "w.bin")


def test_a_folder_that_cannot_be_made_is_told(small_list, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")

    assert fetcher.main(["small", "--out", str(tmp_path / "out" / "deep"), "--accept-licence"]) == 2

    assert "cannot be written" in capsys.readouterr().err


def test_an_unknown_name_is_answered_with_the_nearest(capsys):
    assert fetcher.main(["openpose-body24"]) == 2

    assert "did you mean openpose-body25?" in capsys.readouterr().err


def test_every_entry_of_the_list_is_complete():
    for name, known in fetcher.entries(fetcher.LIST).items():
        assert known.urls, name
        assert all(url.startswith(("http://", "https://")) for url in known.urls), name
        lengths = {"sha256": 64, "sha1": 40, "md5": 32}
        assert all(len(value) == lengths[kind] for kind, value in known.hashes.items()), name
        assert bool(known.hashes) == bool(known.hashes_from), name
