"""Formats by name and by levels: what a name means, what is refused and how, how a format is spelt again."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aerogel.core.errors import FormatError
from aerogel.formats.levels import LEVELS, Compressed, Dense, Singleton
from aerogel.formats.tensor_format import NAMES, Format, format_of, level_name, named

DENSE, COMPRESSED = Dense(), Compressed()
RUN, MIDDLE, TAIL = Compressed(unique=False), Singleton(unique=False), Singleton()


# --- names ------------------------------------------------------------------------------------

MEANING = [
    ("dense", 0, (), ()),
    ("dense", 3, (DENSE, DENSE, DENSE), (0, 1, 2)),
    ("csr", 2, (DENSE, COMPRESSED), (0, 1)),
    ("csc", 2, (DENSE, COMPRESSED), (1, 0)),
    ("dcsr", 2, (COMPRESSED, COMPRESSED), (0, 1)),
    ("dcsc", 2, (COMPRESSED, COMPRESSED), (1, 0)),
    ("sv", 1, (COMPRESSED,), (0,)),
    ("csf", 3, (COMPRESSED, COMPRESSED, COMPRESSED), (0, 1, 2)),
    ("coo", 1, (COMPRESSED,), (0,)),
    ("coo", 2, (RUN, TAIL), (0, 1)),
    ("coo", 4, (RUN, MIDDLE, MIDDLE, TAIL), (0, 1, 2, 3)),
]


@pytest.mark.parametrize(("name", "rank", "levels", "order"), MEANING)
def test_a_name_stands_for_levels_and_an_order(
    name: str, rank: int, levels: tuple[object, ...], order: tuple[int, ...]
) -> None:
    found = named(name, rank)
    assert (found.levels, found.order, found.block) == (levels, order, ())
    assert found.rank == rank


def test_every_name_is_known() -> None:
    for name in NAMES:
        assert any(name == meant for meant, *_ in MEANING) or name == "bsr"


def test_blocks() -> None:
    found = named("bsr:2x3", 2)
    assert found.levels == (DENSE, COMPRESSED, DENSE, DENSE)
    assert (found.order, found.block, found.rank) == ((0, 1), (2, 3), 2)
    assert found.level_sizes((8, 9)) == (4, 3, 2, 3)
    assert not found.dense


@pytest.mark.parametrize(
    ("alias", "name", "rank"), [("sparse_vector", "sv", 1), ("array", "dense", 2), ("numpy", "dense", 3)]
)
def test_aliases(alias: str, name: str, rank: int) -> None:
    assert named(alias, rank) == named(name, rank)


def test_case_and_spaces_around_do_not_matter() -> None:
    assert format_of("  CSR ", 2) == named("csr", 2)


def test_levels_are_spelt_with_commas_and_the_order_behind_an_at() -> None:
    assert named("dense,compressed", 2) == named("csr", 2)
    assert named("dense, compressed@1,0", 2) == named("csc", 2)
    assert named("compressed_nonunique,singleton_nonunique,singleton", 3) == named("coo", 3)
    assert format_of(["dense", "bitmap"], 2).levels == (DENSE, LEVELS["bitmap"])
    assert format_of(("compressed",), 1) == named("sv", 1)


@given(st.lists(st.sampled_from(["dense", "compressed", "bitmap"]), min_size=1, max_size=4), st.randoms())
def test_what_short_says_names_the_same_format(levels: list[str], random) -> None:
    order = tuple(random.sample(range(len(levels)), len(levels)))
    form = Format(tuple(LEVELS[name] for name in levels), order)
    assert named(form.short, form.rank) == form
    assert str(form) == form.short


@pytest.mark.parametrize(
    ("text", "rank", "short"),
    [
        ("dense,compressed", 2, "csr"),
        ("dense,compressed@1,0", 2, "csc"),
        ("compressed,compressed", 2, "dcsr"),
        ("compressed,compressed,compressed", 3, "csf"),
        ("dense,bitmap@1,0", 2, "dense,bitmap@1,0"),
        ("dense,dense@1,0", 2, "dense,dense@1,0"),
        ("compressed_nonunique,singleton", 2, "coo"),
        ("compressed_nonunique,singleton@1,0", 2, "compressed_nonunique,singleton@1,0"),
        ("bsr:4x4", 2, "bsr:4x4"),
        ("compressed", 1, "sv"),
    ],
)
def test_short_is_the_name_where_there_is_one(text: str, rank: int, short: str) -> None:
    assert named(text, rank).short == short


def test_short_of_every_name_is_read_again() -> None:
    for name, rank, *_ in MEANING:
        assert named(named(name, rank).short, rank) == named(name, rank)


def test_level_names_are_those_of_the_table() -> None:
    assert {level_name(level): level for level in LEVELS.values()} == LEVELS


# --- sizes and properties ---------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_sizes_of_levels_follow_the_order(order: tuple[int, ...]) -> None:
    form = Format((COMPRESSED,) * 3, order)
    assert form.level_sizes((5, 6, 7)) == tuple((5, 6, 7)[mode] for mode in order)


def test_sizes_of_blocks_in_another_order() -> None:
    form = Format((DENSE, COMPRESSED, DENSE, DENSE), (1, 0), (2, 3))
    assert form.level_sizes((8, 9)) == (3, 4, 3, 2)


def test_dense_is_said_of_dense_levels_alone() -> None:
    assert named("dense", 0).dense
    assert Format((DENSE, DENSE), (1, 0)).dense
    assert not named("csr", 2).dense
    assert not named("dense,bitmap", 2).dense


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rank", "message"),
    [
        ("crs", 2, r"format 'crs' is unknown: did you mean 'csr'\?"),
        ("compresed", 1, r"did you mean 'compressed'\?"),
        ("dense,compresed", 2, r"format 'dense,compresed' is unknown: did you mean 'compressed'\?"),
        ("zzzz", 2, r"unknown: use one of dense, csr, csc, dcsr, dcsc, sv, coo, csf, bsr"),
        ("bsr", 2, r"bsr needs its block, as in 'bsr:4x4'"),
        ("bsr:4", 2, r"'bsr:4x4'"),
        ("bsr:0x4", 2, r"block \(0, 4\): give one size from 1 on for each of the 2 modes"),
        ("csr", 3, r"format 'csr' is for 2 modes, but the tensor has 3: use coo, csf or dense"),
        ("bsr:2x2", 3, r"format 'bsr:2x2' is for 2 modes, but the tensor has 3"),
        ("sv", 2, r"format 'sv' is for 1 modes, but the tensor has 2"),
        ("dense,compressed", 3, r"format 'dense,compressed' has 2 levels, but the tensor has 3 modes"),
        ("dense,compressed@0", 2, r"'dense,compressed@0' has 1 modes in its order, but the tensor has 2"),
        ("dense,compressed@x,y", 2, r"'x,y' is no order of modes, such as 1,0"),
        ("dense,compressed@0,0", 2, r"mode order \(0, 0\) must name each of 0 .. 1 once"),
        ("dense,compressed@1,2", 2, r"mode order \(1, 2\) must name each of 0 .. 1 once"),
        (
            "dense,singleton",
            2,
            r"level 1 of dense,singleton is a singleton: the level above must be one that",
        ),
        ("singleton", 1, r"level 0 of singleton is a singleton"),
        (
            "compressed_nonunique",
            1,
            r"level 0 of compressed_nonunique is not unique: a singleton must follow",
        ),
        ("compressed_nonunique,dense", 2, r"is not unique: a singleton must follow"),
        (
            "compressed_nonunique,singleton_nonunique",
            2,
            r"level 1 of .* is not unique: a singleton must follow",
        ),
        ("", 1, r"format '' is unknown"),
    ],
)
def test_refusals_say_what_to_do(text: str, rank: int, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        format_of(text, rank)


def test_a_format_must_fit_the_tensor() -> None:
    csr = named("csr", 2)
    assert format_of(csr, 2) is csr
    with pytest.raises(FormatError, match="format csr has 2 modes, but the tensor has 3"):
        format_of(csr, 3)


def test_levels_and_order_must_fit_each_other() -> None:
    with pytest.raises(FormatError, match="1 levels for 2 modes: give one level for each mode"):
        Format((DENSE,), (0, 1))
    with pytest.raises(FormatError, match=r"block \(2,\): give one size from 1 on for each of the 2 modes"):
        Format((DENSE, COMPRESSED, DENSE), (0, 1), (2,))
    with pytest.raises(FormatError, match="the levels within a block are dense"):
        Format((DENSE, COMPRESSED, DENSE, COMPRESSED), (0, 1), (2, 2))


def test_formats_are_values() -> None:
    assert named("csr", 2) == Format((Dense(), Compressed()), (0, 1))
    assert hash(named("csr", 2)) == hash(Format((Dense(), Compressed()), (0, 1)))
    assert named("csr", 2) != named("csc", 2)
