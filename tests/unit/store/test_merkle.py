"""The tree: RFC 9162's own example, the vectors of certificate-transparency, and every proof that proves nothing."""

from collections.abc import Iterator
from hashlib import sha256
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.store.merkle import (
    EMPTY,
    Frontier,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    node_hash,
    root_from_inclusion,
    root_of,
)
from tests.depth import ALL

#: Every tree up to this size is gone through, leaf by leaf.
SIZE_MAX = 70 if ALL else 20
#: With every bit of every proof turned, somewhat fewer.
BITS_SIZE_MAX = 10

LEAVES = [leaf_hash(number.to_bytes(2, "big")) for number in range(SIZE_MAX)]

#: What https://github.com/google/certificate-transparency tests its trees with: entries, and the root over the first n.
CT_ENTRIES = [
    bytes.fromhex(entry)
    for entry in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
#: (index, size) → proof. Their paths count leaves from 1.
CT_INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
#: (first size, second size) → proof.
CT_CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
    (6, 7): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}


def unhex(proof: list[str]) -> list[bytes]:
    return [bytes.fromhex(one) for one in proof]


def defined_root(leaves: list[bytes]) -> bytes:
    """Section 2.1.1 as it stands: by splitting at the largest power of two that is smaller."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + defined_root(leaves[:split]) + defined_root(leaves[split:])).digest()


ROOTS = [defined_root(LEAVES[:size]) for size in range(SIZE_MAX + 1)]


def altered(proof: list[bytes]) -> Iterator[list[bytes]]:
    """A proof with each of its bits turned, without each of its hashes, with one more, and in another order."""
    for place, one in enumerate(proof):
        for bit in range(256):
            turned = (int.from_bytes(one, "big") ^ (1 << bit)).to_bytes(32, "big")
            yield [*proof[:place], turned, *proof[place + 1 :]]
        yield proof[:place] + proof[place + 1 :]
        yield [*proof[:place], one[:-1], *proof[place + 1 :]]
        yield [*proof[:place], one + b"\0", *proof[place + 1 :]]
    for more in {*proof, LEAVES[0], bytes(32), b""}:
        yield [*proof, more]
        yield [more, *proof]
    for left, right in combinations(range(len(proof)), 2):
        swapped = [*proof]
        swapped[left], swapped[right] = swapped[right], swapped[left]
        yield swapped


def test_the_hashes_of_the_standard() -> None:
    assert sha256(b"").digest() == EMPTY
    assert leaf_hash(b"abc") == sha256(b"\x00abc").digest()
    assert node_hash(LEAVES[0], LEAVES[1]) == sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest()


def test_the_example_of_the_standard() -> None:
    """Section 2.1.5: seven leaves, its letters."""
    leaves = [leaf_hash(b"d%d" % number) for number in range(7)]
    a, b, c, d, e, f, j = leaves
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741  the standard's own letter
    assert root_of(leaves) == node_hash(k, l)
    assert inclusion_proof(0, leaves) == [b, h, l]
    assert inclusion_proof(3, leaves) == [c, g, l]
    assert inclusion_proof(4, leaves) == [f, j, k]
    assert inclusion_proof(6, leaves) == [i, k]
    assert root_of(leaves[:3]) == node_hash(g, c)
    assert root_of(leaves[:4]) == k
    assert root_of(leaves[:6]) == node_hash(k, i)
    assert consistency_proof(3, leaves) == [c, d, g, l]
    assert consistency_proof(4, leaves) == [l]
    assert consistency_proof(6, leaves) == [i, j, k]


@pytest.mark.parametrize("size", range(9))
def test_the_roots_of_certificate_transparency(size: int) -> None:
    assert root_of([leaf_hash(entry) for entry in CT_ENTRIES[:size]]).hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("place", "proof"), CT_INCLUSION.items())
def test_the_inclusion_proofs_of_certificate_transparency(place: tuple[int, int], proof: list[str]) -> None:
    index, size = place
    leaves = [leaf_hash(entry) for entry in CT_ENTRIES]
    assert inclusion_proof(index, leaves[:size]) == unhex(proof)
    root = root_from_inclusion(index, size, leaves[index], unhex(proof))
    assert root is not None
    assert root.hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("sizes", "proof"), CT_CONSISTENCY.items())
def test_the_consistency_proofs_of_certificate_transparency(sizes: tuple[int, int], proof: list[str]) -> None:
    first, second = sizes
    leaves = [leaf_hash(entry) for entry in CT_ENTRIES]
    assert consistency_proof(first, leaves[:second]) == unhex(proof)
    roots = (bytes.fromhex(CT_ROOTS[size]) for size in sizes)
    assert is_consistent(first, next(roots), second, next(roots), unhex(proof))


def test_a_tree_that_grows_is_the_tree_as_defined_at_every_size() -> None:
    frontier = Frontier()
    for size, leaf in enumerate(LEAVES):
        assert (frontier.size, frontier.root()) == (size, ROOTS[size])
        frontier.add(leaf)
    assert frontier.root() == ROOTS[-1]
    assert [root_of(LEAVES[:size]) for size in range(SIZE_MAX + 1)] == ROOTS


def test_a_tree_that_grows_keeps_no_more_than_its_logarithm() -> None:
    frontier = Frontier()
    for number in range(1, 3_000):
        frontier.add(LEAVES[0])
        assert len(frontier._roots) == number.bit_count()


@given(st.lists(st.binary(max_size=8), max_size=300))
def test_any_tree_is_the_tree_as_defined(entries: list[bytes]) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    assert root_of(leaves) == defined_root(leaves)


@pytest.mark.parametrize("size", range(1, SIZE_MAX + 1))
def test_each_leaf_of_each_tree_has_a_proof_for_its_place_and_no_other(size: int) -> None:
    leaves = LEAVES[:size]
    for index in range(size):
        proof = inclusion_proof(index, leaves)
        assert len(proof) <= (size - 1).bit_length()
        for other in range(-1, size + 2):
            reached = root_from_inclusion(other, size, leaves[index], proof)
            assert (reached == ROOTS[size]) == (other == index)
        assert root_from_inclusion(index, size, EMPTY, proof) != ROOTS[size]
        # A proof of the same length may fit the form of another size: the root that it leads to is not that size's.
        for wrong in range(SIZE_MAX + 1):
            reached = root_from_inclusion(index, wrong, leaves[index], proof)
            assert (reached == ROOTS[wrong]) == (wrong == size)


@pytest.mark.parametrize("second", range(1, SIZE_MAX + 1))
def test_each_beginning_of_each_tree_has_a_proof_and_no_other_has(second: int) -> None:
    leaves = LEAVES[:second]
    for first in range(1, second + 1):
        proof = consistency_proof(first, leaves)
        assert len(proof) <= second.bit_length() + 1
        assert is_consistent(first, ROOTS[first], second, ROOTS[second], proof)
        assert not is_consistent(first, EMPTY, second, ROOTS[second], proof)
        assert not is_consistent(first, ROOTS[first], second, EMPTY, proof)
        for wrong in range(SIZE_MAX + 1):
            right = wrong == first
            assert is_consistent(wrong, ROOTS[wrong], second, ROOTS[second], proof) == right
            assert is_consistent(wrong, ROOTS[first], second, ROOTS[second], proof) == right
            assert is_consistent(first, ROOTS[first], wrong, ROOTS[wrong], proof) == (wrong == second)
        if second > first:
            assert not is_consistent(second, ROOTS[second], first, ROOTS[first], proof)


@given(st.data())
def test_proofs_beyond_the_small(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 1_500))
    leaves = [leaf_hash(number.to_bytes(2, "big")) for number in range(size)]
    root = root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, leaves)
    assert root_from_inclusion(index, size, leaves[index], proof) == root
    other = data.draw(st.integers(-2, size + 2).filter(lambda number: number != index))
    assert root_from_inclusion(other, size, leaves[index], proof) != root
    first = data.draw(st.integers(1, size))
    old, steps = root_of(leaves[:first]), consistency_proof(first, leaves)
    assert is_consistent(first, old, size, root, steps)
    assert not is_consistent(first, leaf_hash(b"another"), size, root, steps)
    assert not is_consistent(first, old, size, leaf_hash(b"another"), steps)


@pytest.mark.parametrize("size", range(1, BITS_SIZE_MAX + 1))
def test_no_inclusion_proof_can_be_altered(size: int) -> None:
    leaves = LEAVES[:size]
    for index in range(size):
        for wrong in altered(inclusion_proof(index, leaves)):
            assert root_from_inclusion(index, size, leaves[index], wrong) != ROOTS[size]


@pytest.mark.parametrize("second", range(1, BITS_SIZE_MAX + 1))
def test_no_consistency_proof_can_be_altered(second: int) -> None:
    for first in range(1, second + 1):
        for wrong in altered(consistency_proof(first, LEAVES[:second])):
            assert not is_consistent(first, ROOTS[first], second, ROOTS[second], wrong)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    """Why leaves and nodes are hashed apart: an entry of two hashes would otherwise be a tree of two."""
    two = root_of(LEAVES[:2])
    assert leaf_hash(LEAVES[0] + LEAVES[1]) != two
    assert root_of([leaf_hash(LEAVES[0] + LEAVES[1])]) != two


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no such leaf"):
        inclusion_proof(index, LEAVES[:size])


@pytest.mark.parametrize(("first", "second"), [(0, 3), (-1, 3), (4, 3), (0, 0)])
def test_there_is_no_proof_of_a_beginning_that_is_none(first: int, second: int) -> None:
    with pytest.raises(ValueError, match="no such beginning"):
        consistency_proof(first, LEAVES[:second])
