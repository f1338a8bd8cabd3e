"""The rules of the house: who imports whom, the frameworks' mirror, lengths, launchers, and the README's commands."""

import ast
import re
import shlex
import subprocess
import sys
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("shared", "converters", "pytorch_impl", "keras_impl", "eval", "demo", "benchmarks")
FRAMEWORKS = {"torch", "tensorflow", "keras"}
MAY_NOT_IMPORT = {
    "shared": FRAMEWORKS | {"converters", "pytorch_impl", "keras_impl", "eval", "demo", "onnx", "google"},
    "converters": FRAMEWORKS | {"pytorch_impl", "keras_impl", "eval", "demo"},
    "pytorch_impl": {"tensorflow", "keras", "converters", "keras_impl", "eval", "demo"},
    "keras_impl": {"torch", "tensorflow", "converters", "pytorch_impl", "eval", "demo"},
    "eval": FRAMEWORKS | {"converters", "pytorch_impl", "keras_impl", "demo"},
    "benchmarks": FRAMEWORKS | {"converters", "pytorch_impl", "keras_impl", "demo"},
    "demo": FRAMEWORKS | {"converters", "pytorch_impl", "keras_impl", "eval"},
}
# Gradients and several processes are beyond keras.ops; see docs/decisions/0006-training.md.
TENSORFLOW = {"keras_impl/ranks.py", "keras_impl/training.py"}
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST = 300  # lines
# PyTorch registers its layers when a network is made, Keras when it is called; TensorFlow arranges constants by itself.
NOT_MIRRORED = {
    "layers.py": {"add_rows", "PackedConv"},
    "weights.py": {"set_native", "canonical", "variables", "to_torch"},
}
LAUNCHERS = sorted(path for path in FILES if "if not __package__:" in path.read_text())
SHIM = """
if not __package__:  # started as a file: use the root of the repository, as `python -m {module}` would
    sys.path[0] = str(Path(__file__).resolve().parents[1])
"""


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def public_names(folder: str) -> dict[str, set[str]]:
    """File -> its public classes and functions."""
    found = {}
    for path in (ROOT / folder).glob("*.py"):
        nodes = ast.parse(path.read_text()).body
        names = {n.name for n in nodes if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        found[path.name] = {n for n in names if not n.startswith("_")} - NOT_MIRRORED.get(path.name, set())
    return found


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_folder_imports_only_what_it_may(path):
    allowed = {"tensorflow"} if relative(path) in TENSORFLOW else set()

    assert not imported(path) & MAY_NOT_IMPORT[path.relative_to(ROOT).parts[0]] - allowed


def test_the_import_rule_sees_a_forbidden_import(tmp_path):
    (tmp_path / "bad.py").write_text("def f():\n    from torch import nn\n")

    assert imported(tmp_path / "bad.py") & MAY_NOT_IMPORT["shared"]


def test_the_frameworks_mirror_each_other():
    assert public_names("pytorch_impl") == public_names("keras_impl")


def too_long(paths: list[Path]) -> list[Path]:
    return [path for path in paths if len(path.read_text().splitlines()) > LONGEST]


def test_a_file_has_at_most_300_lines():
    assert not too_long([*FILES, *TESTS])


def test_the_rule_of_lengths_sees_a_line_too_many(tmp_path):
    paths = [tmp_path / "just.py", tmp_path / "long.py"]
    for path, extra in zip(paths, (0, 1), strict=True):
        path.write_text("pass\n" * (LONGEST + extra))

    assert too_long(paths) == paths[1:]


def test_no_file_hides_a_module_of_another_name():
    outside = set(sys.stdlib_module_names) | {name for name in packages_distributions() if name.isidentifier()}
    outside -= set(FOLDERS)  # another distribution may install one of our names; sys.path[0] comes first
    names = {p.stem for p in FILES if p.parent.parent == ROOT and p.parent.name != "shared"}

    assert not names & outside


def test_nobody_imports_eval_itself():
    pattern = re.compile(r"^\s*import eval\b", re.M)

    assert not [relative(path) for path in FILES if pattern.search(path.read_text())]


@pytest.mark.parametrize("path", LAUNCHERS, ids=relative)
def test_a_launcher_is_nothing_but_the_shim(path):
    module = relative(path).removesuffix(".py").replace("/", ".")
    body = ast.parse(path.read_text()).body

    assert SHIM.format(module=module) in path.read_text()
    assert not [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


@pytest.mark.parametrize("path", LAUNCHERS, ids=relative)
def test_a_launcher_answers_help_from_any_folder(path, tmp_path):
    run = subprocess.run([sys.executable, str(path), "--help"], cwd=tmp_path, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
    assert "usage" in run.stdout


def readme_commands() -> list[str]:
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.startswith("python ")]


@pytest.mark.parametrize("line", readme_commands())
def test_a_command_of_the_readme_parses(line):
    _, script, *arguments = shlex.split(line)
    module = script.removesuffix(".py").replace("/", ".")
    if script == "-m":
        package, *arguments = arguments
        module = f"{package}.__main__"

    import_module(module).main.parser().parse_args(arguments)


def test_the_readme_has_commands():
    assert len(readme_commands()) >= 5
