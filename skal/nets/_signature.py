"""Signatures of methods that pass parameters on."""

from inspect import Parameter, signature


def with_those_of(base, own):
    """The signature of a method that passes on, as its `**kwargs`, the parameters of its base's."""
    names = signature(own).parameters
    passed = [part for name, part in signature(base).parameters.items() if name not in names]
    named = [part for part in names.values() if part.kind is not Parameter.VAR_KEYWORD]
    return signature(own).replace(parameters=named + passed)
