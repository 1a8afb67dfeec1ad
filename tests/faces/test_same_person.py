"""Whether a row's references show one person."""

import dataclasses

import numpy as np
import pytest

from idgen.errors import Code, RowError
from idgen.faces.analysis import Face
from idgen.faces.identity import Request
from idgen.faces.same_person import differing
from idgen.recipes.recipe import FacePack


def face(*numbers):
    embedding = np.zeros(512, np.float32)
    embedding[: len(numbers)] = numbers
    return Face(embedding, np.zeros(4, np.float32), np.zeros((5, 2), np.float32), 0.9, 1, (100, 100), ())


ADA, ADA_AGAIN, BEN = face(9.0, 0.0), face(2.0, 3.0), face(0.0, 5.0)
"""Cosines 0.55, 0 and 0.83; of different lengths, as raw embeddings are."""


def asked(bound=0.3, **more):
    return Request(("a", "b", "c"), face_pack=FacePack(same_person_cosine=bound), **more)


def test_the_two_that_differ_most_are_named_with_their_cosine_and_the_packs_bound():
    (said,) = differing(asked(), [ADA, ADA_AGAIN, BEN])
    assert said.startswith(
        "references_differ: 1 and 3 look like different people (cosine 0.00, the same person has at least 0.3)"
    )


@pytest.mark.parametrize(("bound", "count"), [(0.3, 0), (0.6, 1)])
def test_the_bound_is_the_packs(bound, count):
    assert len(differing(asked(bound), [ADA, ADA_AGAIN])) == count


def test_faces_without_embeddings_are_not_compared():
    boxes = [dataclasses.replace(each, embedding=None) for each in (ADA, BEN)]
    assert differing(asked(refuse_strangers=True), boxes) == []
    assert differing(asked(refuse_strangers=True), [ADA]) == []


def test_they_are_refused_when_that_is_asked_for():
    with pytest.raises(RowError) as caught:
        differing(asked(refuse_strangers=True), [ADA, BEN])
    assert caught.value.code == Code.REFERENCES_DIFFER
