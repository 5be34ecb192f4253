"""Words for how things are computed; what each of them does is tested where it is used."""

import pytest

from convcore.settings import Setting, environment


def test_the_first_word_is_the_default(variable):
    variable("CONVCORE_COLOUR", None)
    assert Setting("colour", ("red", "green")).get() == "red"


def test_who_is_heard_first(variable):
    """The innermost block, then the process, then the environment."""
    variable("CONVCORE_COLOUR", "green")
    colour = Setting("colour", ("red", "green", "blue"))
    assert colour.get() == "green"
    colour.set("blue")
    assert colour.get() == "blue"
    with colour.inside("red"):
        with colour.inside("green"):
            assert colour.get() == "green"
        assert colour.get() == "red"
    assert colour.get() == "blue"


def test_the_environment_is_looked_at_once(variable, monkeypatch):
    variable("CONVCORE_COLOUR", "green")
    assert environment("CONVCORE_COLOUR") == "green"
    monkeypatch.setenv("CONVCORE_COLOUR", "red")
    assert environment("CONVCORE_COLOUR") == "green"


def test_errors(variable):
    colour = Setting("colour", ("red", "green"))
    with pytest.raises(ValueError, match=r"^set_colour: kind must be one of red, green, got 'mauve'$"):
        colour.set("mauve")
    with pytest.raises(TypeError, match=r"^colour: kind must be one of red, green, got int$"), colour.inside(3):
        pass
    variable("CONVCORE_COLOUR", "mauve")
    with pytest.raises(ValueError, match=r"^CONVCORE_COLOUR must be one of red, green, got 'mauve'$"):
        colour.get()
