from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisyclean.nn.memory import RingMemory

CPU = torch.device("cpu")


@settings(max_examples=60, deadline=None)
@given(num_slots=st.integers(1, 9), data=st.data())
def test_it_holds_the_latest_and_nothing_else(num_slots: int, data: st.DataObject) -> None:
    batches = data.draw(st.lists(st.integers(1, num_slots), min_size=1, max_size=8))
    memory = RingMemory(num_slots, 1, device=CPU)
    written: list[int] = []
    for batch in batches:
        new = torch.arange(len(written), len(written) + batch)
        slots = memory.enqueue(new[:, None].float(), new)
        assert memory.label_M[slots].tolist() == new.tolist()
        written += new.tolist()
    held = memory.label_M[~memory.is_empty]
    assert sorted(held.tolist()) == written[-num_slots:]
    assert (memory.z_MD[~memory.is_empty, 0].long() == held).all()
    assert int(memory.is_empty.sum()) == max(0, num_slots - len(written))


def test_it_keeps_no_graph_and_continues_from_its_state() -> None:
    memory = RingMemory(4, 2, device=CPU)
    memory.enqueue(torch.ones(3, 2, requires_grad=True), torch.tensor([0, 1, 2]))
    assert not memory.z_MD.requires_grad
    other = RingMemory(4, 2, device=CPU)
    other.load_state_dict(memory.state_dict())
    for one in (memory, other):
        one.enqueue(torch.zeros(2, 2), torch.tensor([7, 8]))
    assert torch.equal(memory.label_M, other.label_M)
    assert memory.label_M.tolist() == [8, 1, 2, 7]
