"""The network: what it must not depend on, what it must, and that every part of it learns (spec §16, §17)."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from made_batches import FEATURES, batch, reordered, sample
from torch import Tensor
from torch.nn import functional

from weft.errors import WeftError
from weft.tasks.mesh_segmentation.attention import Attention
from weft.tasks.mesh_segmentation.batch import MeshBatch
from weft.tasks.mesh_segmentation.layers import DropPath
from weft.tasks.mesh_segmentation.model_options import ModelOptions
from weft.tasks.mesh_segmentation.network import MeshNetwork
from weft.tasks.mesh_segmentation.texture import TextureBranch

SMALL: dict[str, Any] = {"width": 16, "heads": 2, "blocks": 2}
TEXTURE: dict[str, Any] = {"width": 8, "positions": "bary"}
EVERYTHING: dict[str, Any] = {"relative": {"values": True}, "fourier": {"period": 1}, "texture": TEXTURE}
KINDS = [
    {"block": block, "norm": norm, "summary": summary} | more
    for block, norm, summary in itertools.product(("local_global", "two_stage"), ("pre", "post"), ("token", "mean"))
    for more in ({}, EVERYTHING, {"stages": 3, "gate": True})
    if not (block == "local_global" and "gate" in more)
] + [{"texture": TEXTURE | {"blocks": 2}}]


def network(**options: Any) -> MeshNetwork:
    torch.manual_seed(0)
    return MeshNetwork(ModelOptions(**SMALL | options), FEATURES, 3)


def answers(net: MeshNetwork, given: MeshBatch) -> Tensor:
    """[faces, 3] of the real faces, by sample and number of the face."""
    assert given.real is not None
    assert given.face is not None
    with torch.inference_mode():
        logits = net.eval()(given)
    return torch.cat([logits[b][real][given.face[b][real].argsort()] for b, real in enumerate(given.real)])


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_padding_changes_nothing(options: dict[str, Any]) -> None:
    """More faces a cluster, more clusters, more pixels, in another sample of the batch: the same logits."""
    net, small, large = network(**options), sample([5, 3]), sample([9, 2, 7, 4], seed=1, pixels=11)
    alone = answers(net, batch(small))
    together = answers(net, batch(small, large))
    torch.testing.assert_close(together[: len(alone)], alone, atol=1e-5, rtol=0)
    # What stands in the padding does not matter either.
    padded = batch(small, large)
    assert padded.geometry is not None
    assert padded.centroids is not None
    assert padded.real is not None
    padded.geometry[~padded.real] = 100.0
    padded.centroids[~padded.real] = -500.0
    if padded.pixels is not None and padded.real_pixels is not None:
        padded.pixels[~padded.real_pixels] = 255
    torch.testing.assert_close(answers(net, padded), together, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_order_of_faces_does_not_matter(options: dict[str, Any]) -> None:
    made = sample([6, 4])
    order = np.random.default_rng(3).permutation(10)
    net = network(**options)
    torch.testing.assert_close(
        answers(net, batch(reordered(made, order))), answers(net, batch(made)), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_clusters_see_each_other_and_samples_do_not(options: dict[str, Any]) -> None:
    """Defect 1 of the original: its faces attended to one key each, so nothing passed between clusters."""
    given = batch(sample([4, 4, 4]), sample([4, 4, 4], seed=1))
    assert given.geometry is not None
    given.geometry.requires_grad_()
    logits = network(**options).eval()(given)
    logits[0, 0].square().sum().backward()
    assert given.geometry.grad is not None
    seen = given.geometry.grad.abs().amax((2, 3))
    assert (seen[0] > 0).all()
    assert (seen[1] == 0).all()


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_every_parameter_learns(options: dict[str, Any]) -> None:
    """None is left without a gradient: processes that train together would wait for it for ever."""
    net = network(**options).train()
    net(batch(sample([4, 3]), sample([5], seed=2))).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_without_a_textured_face_the_texture_branch_is_still_part_of_the_step() -> None:
    net = network(texture=TEXTURE).train()
    logits = net(batch(sample([4, 3], textured=0.0)))
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("block", ["local_global", "two_stage"])
def test_evaluation_is_deterministic_and_training_is_not(block: str) -> None:
    """Defect 2 of the original: attention dropped in evaluation too."""
    net, given = network(block=block, dropout=0.3, drop_path=0.5, texture=TEXTURE), batch(sample([6, 5]), sample([4]))
    assert torch.equal(answers(net, given), answers(net, given))
    net.train()
    assert not torch.equal(net(given), net(given))


@pytest.mark.parametrize("fusion", ["gated", "concat", "add"])
def test_texture_reaches_the_answer(fusion: str) -> None:
    """Defect 4 of the original: `concat` never read the texture. Faces without one are told from black ones."""
    net, made = network(texture=TEXTURE | {"fusion": fusion}), sample([6, 5])
    before = answers(net, batch(made))
    brighter = answers(net, batch(made.with_arrays(pixels=255 - made.arrays["pixels"])))
    assert (before - brighter).abs().max() > 1e-4
    elsewhere = answers(net, batch(made.with_arrays(places=1 - made.arrays["places"])))
    assert (before - elsewhere).abs().max() > 1e-5
    none = made.with_arrays(**{name: made.arrays[name][:0] for name in
                               ("textured", "pixel_counts", "pixels", "places")})  # fmt: skip
    black = answers(net, batch(made.with_arrays(pixels=np.zeros_like(made.arrays["pixels"]))))
    assert (answers(net, batch(none)) - black).abs().max() > 1e-4


def test_the_gate_mixes_what_it_is_given() -> None:
    """Defect 5 of the original: its gate went through a norm and left 0 to 1. Each channel lies between the two."""
    net = network(texture={"width": 8})
    assert net.fusion is not None
    geometry, texture = torch.randn(50, FEATURES), torch.randn(50, 8)
    a, b = net.fusion.geometry(geometry), net.fusion.texture(texture)
    mixed = net.fusion(geometry, texture)
    assert ((mixed >= torch.minimum(a, b) - 1e-6) & (mixed <= torch.maximum(a, b) + 1e-6)).all()


def test_chunks_of_the_texture_change_neither_answer_nor_gradient() -> None:
    given = batch(sample([9, 8]))
    grads, logits = [], []
    for chunk in (3, 1000):
        net = network(texture=TEXTURE | {"chunk": chunk, "dropout": 0.0}, dropout=0.0).train()
        out = net(given)
        out.square().sum().backward()
        logits.append(out)
        grads.append([p.grad for p in net.parameters()])
    torch.testing.assert_close(*logits)
    torch.testing.assert_close(*grads)


def test_attention_of_one_query_is_that_of_the_full_form() -> None:
    """Of each group, of all groups alike, and of tokens that are given by coefficients of a basis."""
    torch.manual_seed(1)
    attention = Attention(8, 2, 0.0).train()
    for layer in (attention.key, attention.value):
        torch.nn.init.normal_(layer.bias)
    basis, few = torch.randn(8, 3), torch.randn(4, 7, 3)
    tokens, real = few @ basis.T, torch.rand(4, 7) < 0.6
    real[:, 0] = True
    for query in (tokens[:, :1], tokens[:1, :1]):
        full = attention(query.expand(4, -1, -1), tokens, real)
        torch.testing.assert_close(attention.of_one(query, tokens, real), full, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(attention.of_one(query, few, real, basis), full, rtol=1e-4, atol=1e-5)


def test_attention_with_dropout_is_that_of_torch_with_the_same_drops() -> None:
    attention = Attention(8, 2, 0.3).train()
    x = torch.randn(3, 5, 8)
    real = torch.tensor([[True] * 5, [True, False] * 2 + [True], [True] + [False] * 4])
    torch.manual_seed(3)
    mixed = attention(x, x, real)
    q, k, v = (layer(x).unflatten(2, (2, 4)).transpose(1, 2) for layer in
               (attention.query, attention.key, attention.value))  # fmt: skip
    torch.manual_seed(3)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None], dropout_p=0.3)
    torch.testing.assert_close(mixed, attention.out(expected.transpose(1, 2).flatten(2)))


def test_attention_with_dropout_adds_to_logits_what_torch_does() -> None:
    attention = Attention(8, 2, 0.3).train()
    q, k, v = torch.randn(3, 3, 2, 5, 4)
    added = torch.randn(3, 1, 5, 5).masked_fill(torch.eye(5) > 0, -math.inf)
    torch.manual_seed(3)
    mixed = attention._mix(q, k, v, added)
    torch.manual_seed(3)
    expected = functional.scaled_dot_product_attention(q, k, v, attn_mask=added, dropout_p=0.3)
    torch.testing.assert_close(mixed, expected)


def test_attention_of_one_query_drops_weights_with_the_rate_and_keeps_their_mean() -> None:
    torch.manual_seed(4)
    attention, groups = Attention(8, 2, 0.3).train(), 4000
    for layer in (attention.key, attention.value):
        torch.nn.init.normal_(layer.bias)
    tokens = torch.randn(1, 6, 8).expand(groups, -1, -1)
    real = torch.ones(groups, 6, dtype=torch.bool)
    with torch.no_grad():
        made = attention.of_one(tokens[:, :1], tokens, real)[:, 0]
        expected = attention.eval().of_one(tokens[:1, :1], tokens[:1], real[:1])[0, 0]
        full = attention.train()(tokens[:, :1], tokens, real)[:, 0]
    deviation = made.std(0)
    assert (deviation > 0.05 * expected.abs().max()).all()
    assert ((made.mean(0) - expected).abs() < 5 * deviation / groups**0.5).all()
    torch.testing.assert_close(deviation, full.std(0), rtol=0.1, atol=0)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("positions", ["none", "bary"])
def test_one_block_of_pixels_is_the_block_on_all_of_them(norm: str, positions: str) -> None:
    """Without a row for each pixel, answers and gradients are those of the layers one after the other."""
    options = ModelOptions.model_validate(
        {"width": 16, "norm": norm, "texture": TEXTURE | {"positions": positions, "dropout": 0}}
    )
    assert options.texture is not None
    torch.manual_seed(2)
    branch = TextureBranch(options.texture, options)
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter)
    pixels, real = (
        torch.randn(6, 5, branch.pixel.in_features),
        torch.arange(5) < torch.tensor([[5], [1], [3], [2], [4], [5]]),
    )
    (block,) = branch.blocks
    tokens = torch.cat([branch.summary.expand(6, 1, -1), branch.pixel(pixels)], dim=1)
    full = branch.norm(block(tokens, functional.pad(real, (1, 0), value=True))[:, 0])
    short = branch(pixels, real, torch.arange(6), 6)
    torch.testing.assert_close(short, full, rtol=1e-4, atol=1e-5)
    weights = torch.randn(full.shape)
    learned = [*block.parameters(), *branch.pixel.parameters(), branch.summary]
    grads = [torch.autograd.grad((made * weights).sum(), learned) for made in (short, full)]
    for mine, expected in zip(*grads, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-3, atol=1e-4)


def test_relative_positions_change_the_answer_only_by_offsets() -> None:
    net, made = network(relative={"values": True}), sample([6, 5])
    before = answers(net, batch(made))
    moved = made.with_arrays(centroids=made.arrays["centroids"] + np.float32(7))
    torch.testing.assert_close(answers(net, batch(moved)), before, atol=1e-4, rtol=0)
    spread = made.with_arrays(centroids=made.arrays["centroids"] * np.float32(2))
    assert (answers(net, batch(spread)) - before).abs().max() > 1e-4


def test_attention_by_hand() -> None:
    """One head of width 2 against softmax(q k / sqrt(2)) v, with a relative bias and values."""
    torch.manual_seed(0)
    from weft.tasks.mesh_segmentation.model_options import RelativeOptions

    layer = Attention(2, 1, 0.0, RelativeOptions(values=True, scale=2.0)).eval()
    assert layer.relative is not None
    assert layer.relative.values is not None
    x, offsets, real = torch.randn(1, 3, 2), torch.randn(1, 2, 2, 3), torch.tensor([[True, True, False]])
    out = layer(x, x, real, offsets)
    q, k, v = layer.query(x)[0], layer.key(x)[0], layer.value(x)[0]
    d = offsets[0] / 2
    pair = torch.cat([d, d.norm(dim=2, keepdim=True), d.square().sum(2, keepdim=True), torch.ones(2, 2, 1)], 2)
    for i in range(3):
        logits = k @ q[i] / 2**0.5
        values = v.clone()
        if i >= 1:  # the first token has no place
            logits[1:] = logits[1:] + layer.relative.bias(pair[i - 1])[:, 0]
            values[1:] = values[1:] + layer.relative.values(pair[i - 1])
        weights = logits[:2].softmax(0)
        torch.testing.assert_close(out[0, i], layer.out(weights @ values[:2]))


def test_drop_path_leaves_out_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.25).train(), torch.ones(4000 * 2, 3)
    kept = drop(x, 4000).view(4000, -1)
    assert ((kept == 0).all(1) | (kept == 1 / 0.75).all(1)).all()
    assert abs(float(kept.mean()) - 1) < 0.03
    assert torch.equal(drop.eval()(x, 4000), x)


def test_half_precision_attends_in_float32() -> None:
    """Logits of 16 bits would be off by far more: the keys are long."""
    layer = Attention(32, 1, 0.0).eval()
    x = 30 * torch.randn(2, 9, 32)
    real = torch.ones(2, 9, dtype=torch.bool)
    seen: list[torch.dtype] = []
    original = torch.nn.functional.scaled_dot_product_attention

    def watched(q: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        seen.append(q.dtype)
        return original(q, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, torch.autocast("cpu", torch.bfloat16):
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
        assert layer(x, x, real).dtype is torch.bfloat16
    assert seen == [torch.float32]


def test_sizes_of_the_blocks() -> None:
    """About 18 D² parameters of a local-global block and 14 D² of one of two stages (spec §7.10), and output layers."""
    for block, expected in (("local_global", 18 + 2), ("two_stage", 14 + 2)):
        net = network(block=block, width=128, heads=4, blocks=1)
        counted = sum(p.numel() for p in net.encoder.blocks[0].parameters())
        assert counted / 128**2 == pytest.approx(expected, rel=0.02)


def test_statistics_that_are_missing_or_of_other_features_are_named() -> None:
    net = network()
    with pytest.raises(WeftError, match=r"mean of features.*expected 16 numbers, the model has none"):
        net.standardise({})
    with pytest.raises(WeftError, match=r"deviation of features.*expected 16 numbers, the model has 19"):
        net.standardise({"features": {"mean": [0.0] * 16, "deviation": [1.0] * 19}})
    features = {"mean": [0.0] * 16, "deviation": [1.0] * 16}
    with pytest.raises(WeftError, match=r"mean of colours.*expected 3 numbers, the model has none"):
        network(texture=TEXTURE).standardise({"features": features})


def test_standardised_features_are_what_the_network_sees() -> None:
    made = sample([6, 5])
    net = network()
    before = answers(net, batch(made))
    net.standardise({"features": {"mean": [2.0] * FEATURES, "deviation": [3.0] * FEATURES}})
    shifted = made.with_arrays(geometry=made.arrays["geometry"] * np.float32(3) + 2)
    torch.testing.assert_close(answers(net, batch(shifted)), before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("options", "message"), [
    ({"width": 10, "heads": 4}, "width 10 is no multiple of heads 4"),
    ({"texture": {"width": 5}}, "width 5 is no multiple of heads 2"),
    ({"gate": True}, "gate is of block two_stage"),
    ({"stages": 3}, "stages: 3 is of block two_stage"),
])  # fmt: skip
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelOptions(**options)


@pytest.mark.parametrize("block", ["local_global", "two_stage"])
def test_half_precision_is_close_to_full(block: str) -> None:
    """With everything that changes types on the way, forward and backward, and in chunks of the texture."""
    net = network(block=block, **EVERYTHING | {"texture": TEXTURE | {"chunk": 3, "dropout": 0.0}}, dropout=0.0).train()
    given = batch(sample([5, 3]), sample([4], seed=2))
    assert given.real is not None
    full = net(given)[given.real]
    with torch.autocast("cpu", torch.bfloat16):
        half = net(given)[given.real]
    assert half.dtype is torch.bfloat16
    assert (half.float() - full).abs().max() < 0.05 * full.abs().max()
    half.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
