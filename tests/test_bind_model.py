"""A model that cannot be used is refused in words: its file, the line of the fault, what to do."""

import inspect

import numba
import pytest

from mmquant.quoting import bind_model

compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


@numba.njit
def of_two(inputs, params):
    """Take too few."""
    return 0


@numba.njit
def adds_text(inputs, params, out):
    """Add what cannot be added."""
    out[0]["bid_ticks"] = "abc" + 3
    return 0


@numba.njit
def asks_for_more(inputs, params, out):
    """Call what cannot be compiled."""
    return helper(params)


@numba.njit
def helper(params):
    """Name what is not there."""
    return params.nothing


@numba.njit
def sets_nothing(inputs, params, out):
    """Set a field that there is not."""
    out[0]["nothing"] = 1.0
    return 0


@numba.njit
def opens_a_file(inputs, params, out):
    """Do what cannot be compiled at all."""
    with open("x"):
        return 0


def line_of(function, text):
    """Return the number of the line with the text, in this file."""
    lines, first = inspect.getsourcelines(getattr(function, "py_func", function))
    return first + next(k for k, line in enumerate(lines) if text in line)


def refusal(function):
    with pytest.raises(TypeError) as told:
        bind_model(function)
    return str(told.value)


def test_a_wrong_number_of_arguments_is_said():
    told = refusal(of_two)
    assert "model of_two (" in told
    assert "test_bind_model.py, line" in told
    assert "must take (inputs, params, out), got (inputs, params): give it these three" in told


@compiled_only
def test_what_is_not_compiled_is_named_with_its_file():
    told = refusal(adds_text.py_func)
    assert told.startswith("model adds_text (")
    assert (
        "must be a function decorated with numba.njit, got a plain one: write @numba.njit" in told
    )
    assert refusal(3) == "model must be a function decorated with numba.njit, got 3"


@compiled_only
@pytest.mark.parametrize(
    ("model", "words", "function", "text"),
    [
        (adds_text, "found for signature: >>> add(", adds_text, '"abc" + 3'),
        (asks_for_more, "Unknown attribute 'nothing'", helper, "params.nothing"),
    ],
)
def test_the_line_of_the_fault_is_named(model, words, function, text):
    told = refusal(model)
    assert told.startswith(f"model {model.__name__} (")
    assert "cannot be compiled for (inputs, params, out): " in told
    assert words in told
    assert told.endswith(f"test_bind_model.py, line {line_of(function, text)}")
    assert "There are" not in told


@compiled_only
def test_what_has_no_line_is_said_all_the_same():
    assert refusal(sets_nothing).endswith("its record has no field 'nothing'")
    assert "cannot be compiled" in refusal(opens_a_file)
