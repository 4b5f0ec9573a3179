"""Files come back as they were written; files that lie are told, with the line."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray
from scipy import sparse
from tests.tensor.samples import array, same, tensors

from aerogel.core.errors import AerogelError, FormatError, InputError, UnsupportedError
from aerogel.tensor import columns
from aerogel.tensor.files import read, write
from aerogel.tensor.make import tensor
from aerogel.tensor.tensor import Tensor

DATA = Path(__file__).parents[2].parent / "shared" / "data"
GENERAL = "%%MatrixMarket matrix coordinate real general\n"
X = array(np.random.default_rng(8), (6, 9), "float64") / 3
quiet = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def saved(folder: Path, text: str | bytes, name: str = "a.mtx") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# ------------------------------------------------------------------------------------------- Matrix Market


@given(tensors(rank=2))
@quiet
def test_matrix_market_comes_back(tmp_path: Path, pair: tuple[Tensor, NDArray[Any]]) -> None:
    t, x = pair
    for name in ("a.mtx", "a.mtx.gz"):
        write(tmp_path / name, t)
        back = read(tmp_path / name)
        assert back.shape == x.shape
        assert back.dtype == ("int64" if x.dtype.kind == "i" else "float64")
        np.testing.assert_array_equal(back.to_numpy(), x)
    if 0 in x.shape:
        # SciPy's reader divides by the extents: the process would end.
        return
    theirs = scipy.io.mmread(tmp_path / "a.mtx")
    np.testing.assert_array_equal(np.asarray(theirs.todense() if sparse.issparse(theirs) else theirs), x)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_bit_comes_back(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(2)
    x = np.append(
        rng.standard_normal(300) * 10.0 ** rng.integers(-300, 300, 300), [np.nan, np.inf, -np.inf, -0.0]
    )
    with np.errstate(over="ignore", under="ignore"):
        x = x.astype(dtype)[None, :]
    for name in ("a.mtx", "a.tns", "a.npz"):
        for form in ("coo", "dense"):
            write(tmp_path / name, tensor((x[0], (np.zeros(304, int), np.arange(304))), form, shape=x.shape))
            back = read(tmp_path / name).to_numpy().astype(dtype)
            np.testing.assert_array_equal(back, x)
            assert np.signbit(back[0, -1])


@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
@pytest.mark.parametrize("kind", ["sparse", "dense"])
@pytest.mark.parametrize("field", ["real", "integer"])
def test_what_scipy_writes_is_read(tmp_path: Path, symmetry: str, kind: str, field: str) -> None:
    x = array(np.random.default_rng(3), (7, 7), "float64" if field == "real" else "int64")
    x = {"general": x, "symmetric": x + x.T, "skew-symmetric": x - x.T}[symmetry]
    held = sparse.coo_array(x) if kind == "sparse" else x
    scipy.io.mmwrite(tmp_path / "a.mtx", held, comment="one\ntwo", field=field, symmetry=symmetry)
    found = read(tmp_path / "a.mtx")
    same(found, x)
    assert found.format.dense == (kind == "dense")


def test_comments_blank_lines_and_patterns(tmp_path: Path) -> None:
    named = GENERAL.encode() + "% André\n1 1 1\n% Zoë\n1 1 2\n".encode("latin-1")
    assert read(saved(tmp_path, named)).item() == 2.0
    head = "%%MatrixMarket MATRIX Coordinate Pattern Symmetric\n% a comment\n\n"
    found = read(saved(tmp_path, head + "3 3 3\n1 1\n% more\n\n 3\t1 \r\n3 3"))
    same(found, np.array([[1.0, 0, 1], [0, 0, 0], [1, 0, 1]]))
    twice = "%%MatrixMarket matrix coordinate real general\n2 2 3\n1 2 1.5\n1 2 2\n2 1 -1e0\n"
    same(read(saved(tmp_path, twice)), np.array([[0.0, 3.5], [-1, 0]]))
    same(read(saved(tmp_path, "%%MatrixMarket matrix coordinate real general\n0 4 0\n")), np.zeros((0, 4)))
    same(read(saved(tmp_path, "%%MatrixMarket matrix array integer general\n0 0\n")), np.zeros((0, 0), int))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.mtx, line 0: it is no Matrix Market header"),
        ("hello\n", r"line 1: it is no Matrix Market header"),
        (b"\x00\xff\x80\n", r"line 1: it is no Matrix Market header"),
        (b"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 \x00\n", r"line 3: it holds b'\\x00'"),
        ("%%MatrixMarket matrix coordinate complex general\n", r"complex matrices are not supported"),
        ("%%MatrixMarket matrix coordinate real hermitian\n", r"complex matrices are not supported"),
        ("%%MatrixMarket matrix list real general\n", r"format 'list' is neither coordinate nor array"),
        ("%%MatrixMarket matrix coordinate text general\n", r"field 'text' is none of real"),
        ("%%MatrixMarket matrix coordinate real odd\n", r"symmetry 'odd' is none of"),
        ("%%MatrixMarket vector coordinate real general\n", r"it is no Matrix Market header"),
        ("%%MatrixMarket matrix array pattern general\n", r"a pattern has no values"),
        (GENERAL, r"line 1: the file ends before the size"),
        (
            GENERAL + "2 2\n",
            r"line 2: '2 2' is no size of a matrix and its number of entries: 3 whole numbers",
        ),
        (GENERAL + "2 2 -1\n", r"line 2: '2 2 -1' is no size"),
        (GENERAL + "2 2 99999999999999999999\n", r"is no size"),
        (GENERAL + "2 2 2\n1 1 1\n", r"line 3: the header declares 2 entries, but the file ends after 1"),
        (GENERAL + "2 2 1\n1 1 1\n2 2 2\n", r"line 4: the header declares 1 entries, and here is one more"),
        (GENERAL + "2 2 999999999999\n1 1 1\n", r"but the file ends after 1"),
        (
            GENERAL + "2 2 1\n0 1 1\n",
            r"line 3: coordinate 0 of mode 0 is outside 1 \.\. 2: coordinates count from 1",
        ),
        (GENERAL + "2 2 1\n1 3 1\n", r"line 3: coordinate 3 of mode 1 is outside 1 \.\. 2"),
        (GENERAL + "2 2 1\n1 -1 1\n", r"line 3: '-1' is no coordinate"),
        (GENERAL + "2 2 1\n1 1.0 1\n", r"line 3: '1\.0' is no coordinate"),
        (GENERAL + "2 2 1\n1 99999999999999999999 1\n", r"line 3: '99999999999999999999' is no coordinate"),
        (GENERAL + "2 2 2\n1 1 1\n2 2 x\n", r"line 4: 'x' is no number"),
        (GENERAL + "2 2 2\n1 1 1_0\n2 2 1\n", r"line 3: it holds b'_'"),
        (GENERAL + "2 2 2\n1 1\n2 2 1 1\n", r"line 3: it has 2 numbers, where 3 are expected"),
        (GENERAL + "2 2 2\n1 1 1\n2 2 1 1\n", r"line 4: it has 4 numbers"),
        (GENERAL + "2 2 2\n1 1 1 2 2 2\n", r"line 3: it has 6 numbers"),
        ("%%MatrixMarket matrix coordinate integer general\n2 2 1\n1 1 1.5\n", r"'1\.5' is no integer"),
        (
            f"%%MatrixMarket matrix coordinate integer general\n2 2 1\n1 1 {2**63}\n",
            r"is no integer of 64 bits",
        ),
        ("%%MatrixMarket matrix coordinate real symmetric\n2 3 0\n", r"is square, but this one has 2 x 3"),
        (
            "%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 1\n",
            r"\(1, 2\) is not in the lower triangle",
        ),
        (
            "%%MatrixMarket matrix coordinate real skew-symmetric\n2 2 1\n1 1 1\n",
            r"is not below the diagonal",
        ),
        (
            "%%MatrixMarket matrix array real general\n2 2\n1\n2\n3\n",
            r"4 numbers for 2 x 2, but the file ends after 3",
        ),
        (
            "%%MatrixMarket matrix array real general\n1 2\n1\n2\n3\n",
            r"line 5: the header declares 2 numbers for 1 x 2, and here",
        ),
        (
            "%%MatrixMarket matrix array real general\n999999999 999999999\n1\n",
            r"but the file ends after 1",
        ),
    ],
)
def test_a_matrix_market_file_that_lies_is_told(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises((FormatError, UnsupportedError), match=message):
        read(saved(tmp_path, text))


def test_the_line_is_right_in_later_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "PART_BYTES", 64)
    lines = [f"{k % 50 + 1} {k % 40 + 1} {k}" for k in range(1000)]
    path = saved(tmp_path, GENERAL + "50 40 1000\n" + "\n".join(lines))
    assert read(path).sum() == sum(range(1000))
    for at in (0, 500, 999):
        wrong = [*lines[:at], "51 1 1", *lines[at + 1 :]]
        with pytest.raises(FormatError, match=f"line {at + 3}: coordinate 51"):
            read(saved(tmp_path, GENERAL + "50 40 1000\n" + "\n".join(wrong)))
    with pytest.raises(FormatError, match="line 903: the header declares 900 entries"):
        read(saved(tmp_path, GENERAL + "50 40 900\n" + "\n".join(lines)))


def test_mostly_empty_rows_cost_nothing(tmp_path: Path) -> None:
    t = read(saved(tmp_path, GENERAL + "900000000000 5 1\n800000000000 5 2.5\n"))
    assert t.format.short == "dcsr" and t.nbytes < 100 and t[799_999_999_999, 4] == 2.5


@pytest.mark.skipif(not DATA.exists(), reason="the matrices are not there: ../shared/data")
def test_matrices_of_the_world() -> None:
    paths = [*sorted(DATA.glob("suitesparse/*.mtx")), DATA / "graphs" / "wiki-Vote.mtx"]
    assert len(paths) > 20
    for path in paths:
        wanted = sparse.csr_array(scipy.io.mmread(path))
        wanted.sum_duplicates()
        found = read(path).to_scipy()
        assert found.shape == wanted.shape and found.nnz == wanted.nnz
        np.testing.assert_array_equal(found.indptr, wanted.indptr)
        np.testing.assert_array_equal(found.indices, wanted.indices)
        np.testing.assert_array_equal(found.data, wanted.data)


# ------------------------------------------------------------------------------------------------- .tns


@given(tensors(dtypes=("float64", "int32", "bool")))
@quiet
def test_frostt_comes_back(tmp_path: Path, pair: tuple[Tensor, NDArray[Any]]) -> None:
    t, x = pair
    for name in ("a.tns", "a.tns.gz"):
        write(tmp_path / name, t)
        back = read(tmp_path / name)
        assert back.dtype == np.float64 and back.shape == x.shape
        np.testing.assert_array_equal(back.to_numpy(), x)


def test_frostt_without_a_shape(tmp_path: Path) -> None:
    found = read(saved(tmp_path, "# anything\n1 2 3 1.5\n\n# more\n2 1 1 -2\n1 2 3 1\n", "a.tns"))
    assert found.shape == (2, 2, 3) and found.format.short == "csf" and found.nnz == 2
    assert found[0, 1, 2] == 2.5 and found[1, 0, 0] == -2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"line 0: the file has no values, and says no shape"),
        ("# shape: 2 x\n1 1 1\n", r"line 1: ' 2 x' is no shape"),
        ("# shape: 2 2\n1 1 1 1\n", r"line 2: it has 4 numbers: 2 coordinates and a value"),
        ("# shape: 2 2\n3 1 1\n", r"line 2: coordinate 3 of mode 0 is outside 1 \.\. 2"),
        ("5\n", r"line 1: it has 1 numbers: one or more coordinates"),
        ("1 1 2\n0 1 2\n", r"line 2: coordinate 0 of mode 0 .*: coordinates count from 1"),
        ("1 1 2\n1 1 1 2\n", r"line 2: it has 4 numbers, where 3 are expected"),
        ("1 1 2\n1 b 2\n", r"line 2: 'b' is no coordinate"),
        ("1 1 2\n1 1 b\n", r"line 2: 'b' is no number"),
        (b"PK\x03\x04\x00\x00", r"line 1: it has 1 numbers"),
        (b"1 1 \x00\n", r"line 1: it holds b'\\x00'"),
    ],
)
def test_a_frostt_file_that_lies_is_told(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(saved(tmp_path, text, "a.tns"))


@pytest.mark.skipif(not DATA.exists(), reason="the tensors are not there: ../shared/data")
def test_tensors_of_the_world() -> None:
    found = read(DATA / "tensors" / "kinship.tns")
    assert found.ndim == 3 and found.nnz == 10_686 and found.sum() == 10_686


# ------------------------------------------------------------------------------------------------- .npz


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_what_scipy_saves_is_read(tmp_path: Path, layout: str, kind: str, *, packed: bool) -> None:
    value = getattr(sparse, f"{layout}_{kind}")(X)
    sparse.save_npz(tmp_path / "a.npz", value, compressed=packed)
    found = read(tmp_path / "a.npz")
    same(found, X)
    assert found.format.short.partition(":")[0] == (layout if layout != "dia" else "coo")


@given(tensors())
@quiet
def test_npz_comes_back_and_scipy_reads_it(tmp_path: Path, pair: tuple[Tensor, NDArray[Any]]) -> None:
    t, x = pair
    write(tmp_path / "a.npz", t)
    same(read(tmp_path / "a.npz"), x)
    if not t.format.dense:
        np.testing.assert_array_equal(sparse.load_npz(tmp_path / "a.npz").toarray(), x)


def test_arrays_of_numpy(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weights=X)
    same(read(tmp_path / "a.npz"), X)
    np.save(tmp_path / "a.npy", np.asfortranarray(X))
    same(read(tmp_path / "a.npy"), X)
    np.savez(tmp_path / "b.npz", a=X, b=X)
    with pytest.raises(FormatError, match=r"holds 2 arrays \(a, b\)"):
        read(tmp_path / "b.npz")
    cube = array(np.random.default_rng(1), (3, 4, 5), "int32")
    sparse.save_npz(tmp_path / "c.npz", sparse.coo_array(cube))
    same(read(tmp_path / "c.npz"), cube)


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_npz_files_that_lie_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    sound = {
        "format": np.array(b"csr"), "shape": np.array([2, 3]), "indptr": np.array([0, 1, 2]),
        "indices": np.array([0, 2]), "data": np.ones(2),
    }  # fmt: skip
    same(read(npz(path, **sound)), np.array([[1.0, 0, 0], [0, 0, 1]]))
    for change, message in (
        ({"indices": np.array([0, 3])}, r"coordinate 3 is outside"),
        ({"indptr": np.array([0, 1])}, r"pos has 2 elements"),
        ({"shape": np.array([2.0, 3.0])}, r"shape must be a list of whole numbers"),
        ({"shape": np.array([2, 3, 4])}, r"a csr array has 1 or 2 modes, not 3"),
        ({"shape": np.array([2**62, 3])}, r"cannot be addressed"),
        ({"shape": np.array([-2, 3])}, r"size -2"),
        ({"format": np.array(b"lil")}, r"format 'lil' is none of"),
        ({"format": np.array([1])}, r"format must be a name"),
        ({"data": np.ones((2, 2))}, r"data must be 1-D"),
        ({"data": np.array(["a", "b"])}, r"type <U1"),
    ):
        with pytest.raises(AerogelError, match=message):
            read(npz(path, **{**sound, **change}))
    del sound["data"]
    with pytest.raises(FormatError, match="data of a csr matrix is missing"):
        read(npz(path, **sound))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(FormatError, match="holds Python objects, which could run code"):
        read(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", np.array([print], dtype=object))
    with pytest.raises(FormatError, match="holds Python objects"):
        read(tmp_path / "a.npy")


def test_arrays_that_claim_more_than_is_there(tmp_path: Path) -> None:
    held = io.BytesIO()
    np.save(held, np.zeros(3))
    text = held.getvalue()
    grown = text.replace(b"(3,), }", b"(3000000000000,), }").replace(b" " * 12 + b"\n", b"\n")
    for raw, message in (
        (grown, r"declares an array|no array"),
        (text[:-8], r"declares|ends"),
        (b"junk", "no array"),
    ):
        with pytest.raises(FormatError, match=message):
            read(saved(tmp_path, raw, "a.npy"))
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("a.npy", raw)
        with pytest.raises(FormatError, match=message):
            read(tmp_path / "a.npz")
    with pytest.raises(FormatError, match=r"no sound \.npz file"):
        read(saved(tmp_path, b"PK\x03\x04junk", "b.npz"))
    whole = npz(tmp_path / "c.npz", a=np.arange(1000.0)).read_bytes()
    with pytest.raises(FormatError, match=r"no sound \.npz file"):
        read(saved(tmp_path, whole[: len(whole) // 2], "c.npz"))
    damaged = bytearray(whole)
    damaged[400] ^= 1
    with pytest.raises(FormatError, match="CRC"):
        read(saved(tmp_path, bytes(damaged), "c.npz"))


# ------------------------------------------------------------------------------------------ files in general


def test_damaged_gzip(tmp_path: Path) -> None:
    raw = gzip.compress((GENERAL + "2 2 1\n1 1 1\n").encode())
    for text in (raw[:-6], b"no gzip at all", raw[:12] + b"\xff\xff" + raw[14:]):
        with pytest.raises(FormatError, match=r"is no sound gzip file"):
            read(saved(tmp_path, text, "a.mtx.gz"))


def test_a_bomb_is_not_unpacked_whole(tmp_path: Path) -> None:
    """64 MB of one byte in 64 kB: told after the first few."""
    for filling in (b"1", b" ", b"\x00"):
        bomb = gzip.compress((GENERAL + "2 2 1\n").encode() + filling * (1 << 26))
        with pytest.raises(FormatError, match=r"too long|holds"):
            read(saved(tmp_path, bomb, "a.mtx.gz"))


def test_names_and_places(tmp_path: Path) -> None:
    for name in ("a.txt", "a", "a.npz.gz", "mtx", "a.gz"):
        with pytest.raises(InputError, match=r"the name tells what a file holds, and ends in \.mtx"):
            read(tmp_path / name)
    with pytest.raises(InputError, match=r"the name tells"):
        write(tmp_path / "a.npy", X)
    for name in ("no.mtx", "no.tns.gz", "no.npz", "no.npy"):
        with pytest.raises(InputError, match=r"no\..* cannot be read: No such file"):
            read(str(tmp_path / name))
    (tmp_path / "folder.mtx").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "folder.mtx")
    with pytest.raises(InputError, match="could not be written"):
        write(tmp_path / "nowhere" / "a.mtx", X)


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    write(path, X)
    old = path.read_bytes()
    with pytest.raises(UnsupportedError, match="this tensor has 1 modes"):
        write(path, tensor(X[0], "sv"))
    with pytest.raises(UnsupportedError, match="this tensor 2"):
        write(path, tensor(X, "csr", fill=2.0))
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["a.mtx"]


def test_anything_that_is_a_tensor_is_written(tmp_path: Path) -> None:
    write(tmp_path / "a.mtx", sparse.csr_array(X))
    same(read(tmp_path / "a.mtx"), X)
    write(tmp_path / "a.mtx", X)
    same(read(tmp_path / "a.mtx"), X)
    write(tmp_path / "a.npz", 3.5)
    assert read(tmp_path / "a.npz").item() == 3.5
