import json

from convcore.profile import machine


def test_what_a_measurement_was_made_on():
    found = machine.describe()
    assert set(found) == {"processor", "processors", "platform", "convcore", "python", "numpy", "date"}
    assert json.loads(json.dumps(found)) == found
    assert found["date"].endswith("+00:00")


def test_the_name_of_the_processor(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Some CPU: fast\nprocessor\t: 1\nmodel name\t: Other\n")
    assert machine.processor(path) == "Some CPU: fast"
    assert machine.processor(tmp_path / "none")
