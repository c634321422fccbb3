"""Errors whose message is made from facts, at no price until one is raised.

Generating an initializer for each class of a family takes longer than loading all of the rest of
its module; an error is made so rarely that a general one serves.
"""

from __future__ import annotations

from typing import Any, ClassVar, dataclass_transform


@dataclass_transform()
class FactualError(Exception):
    """Base of families of errors: what a member annotates is its facts, in this order.

    Given by place or by name; one with a value in its class may be left out.
    """

    _facts: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        own = [name for name in cls.__annotations__ if name not in cls._facts]
        cls._facts = (*cls._facts, *own)

    def __init__(self, *given: Any, **named: Any) -> None:
        cls = type(self)
        if not cls._facts:
            super().__init__(*given)
            return
        known = dict(zip(cls._facts, given, strict=False))
        wrong = (named.keys() - cls._facts) | (named.keys() & known.keys())
        facts = known | named
        missing = [name for name in cls._facts if name not in facts and not hasattr(cls, name)]
        if wrong or missing or len(given) > len(cls._facts):
            raise TypeError(f"{cls.__name__} takes {', '.join(cls._facts)}")
        for name, value in facts.items():
            setattr(self, name, value)
        super().__init__(*(getattr(self, name) for name in cls._facts))
