"""Every rule file stands in RULES, no layer class in two rules, and every refusal says why."""

import importlib
import pkgutil

import numpy as np
import pytest
from keras_norms.export.folding import rules
from keras_norms.export.folding.affine import Affine
from keras_norms.export.folding.rules import RULES, Rule, Site, Skip, rule_of


def test_every_rule_of_every_file_is_in_the_table():
    defined = set()
    for info in pkgutil.iter_modules(rules.__path__):
        module = importlib.import_module(f"{rules.__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Rule) and value.layers:
                defined.add(value)
    assert defined == {type(rule) for rule in RULES}


def test_no_layer_class_has_two_rules():
    layers = [layer for rule in RULES for layer in rule.layers]
    assert len(layers) == len(set(layers))
    assert all(rule.name for rule in RULES)
    assert rule_of(object()) is None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_answer_is_a_rule_answer(rule):
    """The base class refuses both directions with a reason that names the call."""
    site = Site(layer=object(), name="outer/call", inputs=((None, 4),), outputs=((None, 4),))
    map_ = Affine(np.ones(4), np.zeros(4), 1)
    for answer in (Rule.backward(rule, site, map_), Rule.forward(rule, site, map_)):
        assert isinstance(answer, Skip)
        assert answer.reason.startswith("'outer/call' (object)")
    assert rule.__doc__ is not None or importlib.import_module(type(rule).__module__).__doc__
