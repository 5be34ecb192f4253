"""Each script of examples/ runs as it stands, and what it prints is what it promises."""

import ast
import pathlib
import re
import runpy

import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "examples"

# script -> a pattern in its output, and the range of the number (if any) that the pattern takes out of it
PROMISES = {
    "shallow_network.py": (r"test accuracy ([\d.]+)%", 95, 100),
    "batchnorm_network.py": (r"at the end: ([\d.]+)%", 95, 100),
    "separable_convolution.py": (r"separable +944 parameters(?s:.)*one step of training: loss ([\d.]+)", 0.1, 10),
    "sequence_network.py": (r"accuracy on 200 time steps: ([\d.]+)%", 95, 100),
    "custom_initializers.py": (r"edge filters: test accuracy ([\d.]+)%, filters unchanged: True", 93, 100),
    "regression.py": (r"off by 3\d\.\d degrees; the network: by ([\d.]+)", 0, 6),
    "causal_convolution.py": (r"new waves: ([\d.]+)%(?s:.)*step 50 sees steps 20 to 50", 95, 100),
    "skip_connection.py": (r"test accuracy ([\d.]+)%\nloaded, it predicts the same: True", 93, 100),
    "denoising.py": (r"([\d.]+) without", 0, 0.2),
}


@pytest.mark.parametrize("script", PROMISES)
def test_examples_run(script, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONVCORE_DATA_DIR", raising=False)
    runpy.run_path(str(FOLDER / script), run_name="__main__")
    out, err = capsys.readouterr()
    pattern, low, high = PROMISES[script]
    found = re.search(pattern, out)
    assert found, out
    assert low <= float(found[1]) <= high
    assert err == ""
    assert list(tmp_path.iterdir()) == []  # an example leaves nothing behind


def test_the_table_lists_all_scripts():
    scripts = sorted(path.name for path in FOLDER.glob("*.py"))
    assert sorted(PROMISES) == scripts
    listed = re.findall(r"^\| \[(\w+\.py)\]\((\w+\.py)\) \| .+ \|$", (FOLDER / "README.md").read_text("utf-8"), re.M)
    assert sorted(listed) == [(name, name) for name in scripts]


@pytest.mark.parametrize("script", PROMISES)
def test_examples_are_short_and_say_what_they_show(script):
    text = (FOLDER / script).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert re.fullmatch(r".+\.\n\nShows: .+\.", ast.get_docstring(ast.parse(text)))
    assert set(re.findall(r"^(?:import|from) (\w+)", text, re.M)) <= {"convcore", "numpy", "pathlib", "tempfile"}
