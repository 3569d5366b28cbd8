"""Which precision a run gets that leaves it open: decided on what processors state, and by a timed step where they do not."""

from collections.abc import Callable

import pytest
import torch

from fullconv.spec import StageSpec, TrainSpec
from fullconv.training.precision import Processor, choose_precision, precision_for, seconds_of_a_step, this_processor


def untimed(bfloat16: bool) -> float:
    raise AssertionError("the processor tells; nothing is to be timed")


def x86(*flags: str) -> Processor:
    known = ("avx2", "avx512_f", "avx512_bf16", "amx_tile", "amx_bf16")
    return Processor("cpu", machine="x86_64", flags={name: name in flags for name in known})


@pytest.mark.parametrize(
    ("processor", "precision", "reason"),
    [
        (x86("avx2", "avx512_f", "avx512_bf16", "amx_tile", "amx_bf16"), "bf16-mixed", "has AMX-BF16"),
        (x86("avx2", "avx512_f", "avx512_bf16"), "32-true", "no AMX-BF16"),  # measured: 4.4 against 5.7 images a second
        (x86("avx2"), "32-true", "no AMX-BF16"),  # measured: 5.5 times as long
        (x86("avx2", "avx512_f", "amx_bf16"), "32-true", "no AMX-BF16"),  # the system does not let programs use its tiles
        (Processor("cuda", bfloat16=True), "bf16-mixed", "GPU computes bfloat16"),
        (Processor("cuda", bfloat16=False), "32-true", "GPU has no bfloat16"),
        (Processor("mps"), "32-true", "not been measured on mps"),
    ],
)
def test_what_a_processor_states_decides(processor: Processor, precision: str, reason: str) -> None:
    choice = choose_precision(processor, untimed)
    assert choice.precision == precision
    assert reason in str(choice)
    assert "\n" not in str(choice)


@pytest.mark.parametrize(
    "processor", [Processor("cpu", machine="arm64", flags={"neon": True}), Processor("cpu", machine="x86_64")]
)
@pytest.mark.parametrize(("short", "precision"), [(0.040, "bf16-mixed"), (0.095, "32-true"), (0.3, "32-true")])
def test_a_timed_step_decides_where_it_does_not(processor: Processor, short: float, precision: str) -> None:
    choice = choose_precision(processor, lambda bfloat16: short if bfloat16 else 0.1)
    assert choice.precision == precision
    assert f"100 ms with float32 and {short * 1000:.0f} ms with bfloat16" in choice.reason
    assert choose_precision(processor, None).precision == "32-true"  # several processes must choose alike


def test_the_timed_step_computes_what_it_says_and_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[torch.dtype] = []
    convolution: Callable[..., torch.Tensor] = torch.nn.functional.conv2d

    def recorded(*given: object, **more: object) -> torch.Tensor:
        found = convolution(*given, **more)
        kinds.append(found.dtype)
        return found

    monkeypatch.setattr(torch.nn.functional, "conv2d", recorded)
    before = torch.get_rng_state()
    assert seconds_of_a_step(False) > 0
    assert set(kinds) == {torch.float32}
    kinds.clear()
    assert seconds_of_a_step(True) > 0
    assert set(kinds) == {torch.bfloat16}
    assert torch.equal(before, torch.get_rng_state())


def test_this_machine_gets_one_or_the_other() -> None:
    train = TrainSpec(stages=(StageSpec(stride=8),), accelerator="cpu", devices=1)
    assert train.precision == "auto"
    assert precision_for(train).precision in ("32-true", "bf16-mixed")
    assert this_processor("cpu").machine
