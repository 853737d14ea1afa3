import pytest
from small_events import event


@pytest.fixture
def events() -> list[dict]:
    """Eight events, the third of them empty."""
    return [event(seed, 0 if seed == 2 else None) for seed in range(8)]
