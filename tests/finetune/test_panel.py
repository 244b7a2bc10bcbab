"""Each method does what its name says: a layer's update, and what training moves, against its formula."""

import copy
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from evenhand import registry
from evenhand.finetune import Model, run
from evenhand.finetune.modeling import adapt, checkpoint
from evenhand.finetune.modeling.adapt import METHODS
from evenhand.finetune.modeling.pretrained import load_base
from tests.finetune import worlds

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
WIDTH = worlds.WIDTH


@pytest.fixture
def base(folders):
    return load_base(Model(folders["bert"]), "text", ("no", "yes"), "float32")


def adapted(base, name, *, seed=1, moved=0.3, **options):
    """An adapted copy of the base, its trained weights moved at random."""
    method = registry.load(METHODS, name)
    options = {**worlds.OPTIONS.get(name, {}), **options}
    model = method.apply(base.copy(seed), base.roles, method.Config(**options)).eval()
    torch.manual_seed(7)
    with torch.no_grad():
        for n, p in model.named_parameters():
            if p.requires_grad and "modules_to_save" not in n:
                p.add_(moved * torch.randn_like(p))
    return model


def layer(model, base, role="attention.query", i=0):
    return model.get_base_model().get_submodule(base.roles.layers[role][i])


def weights(base, role="attention.query", i=0):
    return base.model.get_submodule(base.roles.layers[role][i]).weight.detach().double().numpy()


def merged(model, base, role="attention.query", i=0):
    """The weights of a layer after PEFT merges the adapter."""
    plain = copy.deepcopy(model).merge_and_unload()
    return plain.get_submodule(base.roles.layers[role][i]).weight.detach().double().numpy()


def delta(model, base, **where):
    return merged(model, base, **where) - weights(base, **where)


def numbers(parameter):
    return parameter["default"].detach().double().numpy()


def close(found, expected, atol=1e-5):
    np.testing.assert_allclose(found, expected, atol=atol)


def test_adalora_shrinks_ranks(folders, datasets, tmp_path, monkeypatch):
    method, ranks, patterns = registry.load(METHODS, "adalora"), [], []
    after = method.after_step

    def watched(model, step):
        after(model, step)
        singular = [p for n, p in model.named_parameters() if ".lora_E." in n]
        ranks.append(sum(int((p != 0).sum()) for p in singular))
        patterns.append(model.peft_config["default"].rank_pattern)

    monkeypatch.setattr(method, "after_step", watched)
    options = {"rank": 2, "initial_rank": 6, "start": 0.25, "end": 0.25}
    job = worlds.job_of(folders["bert"], "adalora", options=options, epochs=4)
    run.train(job, datasets["text"], tmp_path)
    layers, steps = 2 * worlds.LAYERS, 16
    assert ranks[0] == 0  # singular values start at 0, and the first step has the rate 0
    assert ranks[1:4] == [6 * layers] * 3  # the first quarter of the steps
    assert ranks[1:] == sorted(ranks[1:], reverse=True)
    assert len(set(ranks)) > 4
    assert ranks[11] == 2 * layers
    assert ranks[12:] == [2 * layers] * 4  # the last quarter
    assert len(ranks) == steps
    assert patterns[11] == patterns[15]  # the same singular values
    rows = {len(v) for n, v in patterns[15].items()}
    assert rows == {6}


def test_adalora_keeps_singular_vectors_orthogonal(base):
    method = registry.load(METHODS, "adalora")
    model = adapted(base, "adalora", moved=0.0, orthogonality=0.25)
    factors = [p for n, p in model.named_parameters() if ".lora_A." in n or ".lora_B." in n]
    for p in factors:  # [4, 32] or [32, 4]
        tall = torch.linalg.qr(torch.randn(WIDTH, 4))[0]
        p.data = tall if p.shape == tall.shape else tall.T
    assert method.extra_loss(model).item() < 1e-5
    with torch.no_grad():
        factors[0].mul_(2)  # 4 I - I = 3 I, of rank 4: the norm is 6
    assert method.extra_loss(model).item() == pytest.approx(0.25 * 6 / len(factors), rel=1e-4)


def test_ia3_multiplies_activations(base):
    model = adapted(base, "ia3", moved=0.0)
    value, down = layer(model, base, "attention.value"), layer(model, base, "mlp.down")
    x, wide = torch.randn(5, WIDTH), torch.randn(5, 48)
    with torch.no_grad():
        value.base_layer.bias.zero_()
        down.base_layer.bias.fill_(0.5)
        before, inward = value(x), down(wide)
        value.ia3_l["default"].fill_(2)
        down.ia3_l["default"].fill_(2)
    close(value(x).detach(), 2 * before.detach())
    close(down(wide).detach(), down.base_layer(2 * wide).detach())
    assert not np.allclose(down(wide).detach(), 2 * inward.detach())  # the bias is not multiplied
    assert not hasattr(layer(model, base), "ia3_l")


@pytest.mark.parametrize(("name", "part"), [("ln_tuning", "LayerNorm."), ("bitfit", ".bias")])
def test_only_these_weights_are_trained(name, part, base, folders, datasets, tmp_path):
    job = worlds.job_of(folders["bert"], name, learning_rate=0.01)
    run.train(job, datasets["text"], tmp_path)
    plain = checkpoint.reload(base, tmp_path / "adapter").merge_and_unload()
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert not [n for n in saved if "modules_to_save" in n or "original_module" in n]
    inner = {n: p for n, p in plain.named_parameters() if not n.startswith("classifier")}
    changed = {n for n, p in inner.items() if not torch.equal(p, base.model.get_parameter(n))}
    assert changed == {n for n in inner if part in n}
    assert len(changed) >= 8


def test_vera_shares_its_matrices(base):
    model = adapted(base, "vera")
    layers = [layer(model, base, role, i) for role in ("attention.query", "attention.value") for i in (0, 1)]
    assert len({each.vera_A["default"].data_ptr() for each in layers}) == 1
    assert len({each.vera_B["default"].data_ptr() for each in layers}) == 1
    assert not layers[0].vera_A["default"].requires_grad
    a, b = (getattr(layers[0], f"vera_{part}")["default"].double().numpy() for part in "AB")
    d, outward = numbers(layers[0].vera_lambda_d), numbers(layers[0].vera_lambda_b)
    close(delta(model, base), outward[:, None] * (b @ (d[:, None] * a)))


def test_randlora_reaches_full_rank(base):
    model = adapted(base, "randlora")
    assert np.linalg.matrix_rank(delta(model, base), tol=1e-4) == WIDTH
    one, other = layer(model, base), layer(model, base, i=1)
    assert one.randlora_A["default"].data_ptr() == other.randlora_A["default"].data_ptr()


def test_loha_is_a_hadamard_product(base):
    model = adapted(base, "loha", alpha=4.0)
    parts = [numbers(getattr(layer(model, base), f"hada_w{i}_{j}")) for i in (1, 2) for j in "ab"]
    close(delta(model, base), 4 / 8 * (parts[0] @ parts[1]) * (parts[2] @ parts[3]), 1e-4)


def test_lokr_is_a_kronecker_product(base):
    model = adapted(base, "lokr", alpha=4.0)
    where = layer(model, base)
    small, large = numbers(where.lokr_w1), numbers(where.lokr_w2)
    assert small.shape[0] * large.shape[0] == WIDTH
    close(delta(model, base), 4 / 8 * np.kron(small, large), 1e-4)


def gram(matrix):
    return matrix @ matrix.T


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("oft", {"cayley_neumann": False}),
        ("oft", {"cayley_neumann": False, "shared": True}),
        ("hra", {"rank": 4}),
        ("hra", {"rank": 4, "gram_schmidt": True}),
    ],
)
def test_rotations_keep_norms_and_angles(name, options, base):
    model = adapted(base, name, **options)
    before, after = weights(base), merged(model, base)
    assert np.abs(after - before).max() > 0.01
    close(gram(after), gram(before))


def test_boft_keeps_angles_and_scales_outputs(base):
    model = adapted(base, "boft")
    scale = numbers(layer(model, base).boft_s)[:, 0]
    assert np.abs(scale - 1).max() > 0.1
    close(gram(merged(model, base)), scale[:, None] * gram(weights(base)) * scale)


def test_rotation_of_a_series_is_orthogonal_near_the_start(base):
    model = adapted(base, "oft", moved=0.02)
    close(gram(merged(model, base)), gram(weights(base)), 1e-4)


def test_road_rotates_pairs(base):
    model = adapted(base, "road", group_size=8)
    where = layer(model, base)
    theta, factor = numbers(where.road_theta), numbers(where.road_alpha)
    x = torch.randn(5, WIDTH)
    plain = where.base_layer(x).detach().double().numpy().reshape(5, -1, 2, 4)
    turned = where(x).detach().double().numpy().reshape(5, -1, 2, 4)
    angle, strength = theta.reshape(-1, 4), factor.reshape(-1, 4)
    one, two = plain[:, :, 0], plain[:, :, 1]
    close(turned[:, :, 0], strength * (np.cos(angle) * one - np.sin(angle) * two))
    close(turned[:, :, 1], strength * (np.sin(angle) * one + np.cos(angle) * two))


def test_shira_changes_the_chosen_share_of_entries(base):
    model = adapted(base, "shira", rank=3)
    changed = merged(model, base) != weights(base)
    assert changed.sum() == 3 * (WIDTH + WIDTH)


def test_fourierft_has_few_entries_in_its_spectrum(base):
    model = adapted(base, "fourierft", n_frequency=20, scaling=10.0)
    where = layer(model, base)
    spectrum = np.zeros((WIDTH, WIDTH))
    rows, columns = where.indices["default"].numpy()
    spectrum[rows, columns] = numbers(where.fourierft_spectrum)
    assert (spectrum != 0).sum() == 20
    close(delta(model, base), 10 * np.fft.ifft2(spectrum).real)


def test_waveft_has_few_wavelet_coefficients(base):
    model = adapted(base, "waveft", n_frequency=20, scaling=10.0)
    found = delta(model, base)
    a, b, c, d = found[::2, ::2], found[::2, 1::2], found[1::2, ::2], found[1::2, 1::2]
    haar = np.stack([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d]) / 2
    assert (np.abs(haar) > 1e-5).sum() == 20
    expected = 10 * numbers(layer(model, base).waveft_spectrum)
    close(np.sort(haar[np.abs(haar) > 1e-5]), np.sort(expected))


def test_c3a_is_circulant_in_blocks(base):
    found = delta(adapted(base, "c3a", block_size=8, moved=3.0), base)
    assert np.abs(found).max() > 0.01
    for block in found.reshape(4, 8, 4, 8).transpose(0, 2, 1, 3).reshape(16, 8, 8):
        close(block[1:, 1:], block[:-1, :-1])
        close(block[1:, 0], block[:-1, -1])


def test_miss_repeats_a_block_over_the_input(base):
    found = delta(adapted(base, "miss", rank=4), base)
    assert len(np.unique(found.round(5), axis=1).T) == 4
    assert np.linalg.matrix_rank(found, tol=1e-5) == 4


def test_delora_bounds_its_update(base):
    norms = {}
    for size in (1, 100):
        model = adapted(base, "delora", rank=4, strength=0.5)
        where = layer(model, base)
        with torch.no_grad():
            where.delora_lambda["default"].fill_(0.5)
            where.delora_A["default"].mul_(size)
            where.delora_B["default"].mul_(size)
        norms[size] = np.linalg.norm(delta(model, base) / np.linalg.norm(weights(base), axis=0))
    assert norms[1] == pytest.approx(norms[100], rel=1e-4)
    assert 0.05 < norms[1] <= 0.5


def test_gralora_has_a_rank_in_each_block(base):
    found = delta(adapted(base, "gralora", rank=8, blocks=4), base)
    blocks = found.reshape(4, 8, 4, 8).transpose(0, 2, 1, 3).reshape(16, 8, 8)
    assert {int(np.linalg.matrix_rank(block, tol=1e-4)) for block in blocks} == {2}
    assert np.linalg.matrix_rank(found, tol=1e-4) > 16


def test_hira_multiplies_by_a_low_rank(base):
    model = adapted(base, "hira", rank=2)
    ratio = delta(model, base) / weights(base)
    a, b = numbers(layer(model, base).hira_A), numbers(layer(model, base).hira_B)
    close(ratio, b @ a, 1e-2)
    assert np.linalg.matrix_rank(b @ a) == 2
    assert np.linalg.matrix_rank(delta(model, base), tol=1e-4) > 20


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2"])
def test_prefix_adds_keys_to_every_row_alike(kind, folders):
    """What a row gets does not depend on the padding beside it, and a prefix takes part in the attention."""
    base = load_base(Model(folders[kind]), "text", ("no", "yes"), "float32")
    method = registry.load(METHODS, "prefix_tuning")
    model = method.apply(base.copy(1), base.roles, method.Config(tokens=3)).eval()
    ids, mask = torch.randint(4, 30, (2, 7)), torch.ones(2, 7, dtype=torch.long)
    ids[1, 4:], mask[1, 4:] = base.model.config.pad_token_id, 0
    with torch.no_grad():
        both = model(input_ids=ids, attention_mask=mask).logits
        alone = model(input_ids=ids[1:, :4], attention_mask=mask[1:, :4]).logits
        plain = base.copy(1)(input_ids=ids, attention_mask=mask).logits
        prefix = model.prompt_encoder["default"].embedding.weight
        assert prefix.shape[0] == 3
        prefix[:, prefix.shape[1] // 2 :] *= 3  # the last layer's values
        changed = model(input_ids=ids, attention_mask=mask).logits
    close(both[1:], alone, 1e-6)
    assert not np.allclose(both, plain, atol=1e-4)
    assert not np.allclose(both, changed, atol=1e-4)


def test_keys_of_a_prefix_in_attention(folders):
    """A layer of BERT by hand: softmax over the keys of the prefix and those of the text."""
    base = load_base(Model(folders["bert"]), "text", ("no", "yes"), "float32")
    method = registry.load(METHODS, "prefix_tuning")
    model = method.apply(base.copy(1), base.roles, method.Config(tokens=3)).eval()
    attention = model.get_base_model().get_submodule("bert.encoder.layer.0.attention.self")
    seen = {}

    def note(_, args, kwargs, out):
        seen["x"] = (args[0] if args else kwargs["hidden_states"]).detach()
        seen["out"] = out[0].detach()

    attention.register_forward_hook(note, with_kwargs=True)
    with torch.no_grad():
        model(input_ids=torch.randint(4, 30, (1, 5)), attention_mask=torch.ones(1, 5))
        x = seen["x"][0]
        query, key, value = (getattr(attention, part)(x).view(5, 2, 16) for part in ("query", "key", "value"))
        prefix = model.prompt_encoder["default"].embedding.weight.view(3, 2 * worlds.LAYERS, 2, 16)
    keys, values = torch.cat([prefix[:, 0], key]), torch.cat([prefix[:, 1], value])
    shares = torch.softmax(torch.einsum("qhd,khd->hqk", query, keys) / 4, -1)
    expected = torch.einsum("hqk,khd->qhd", shares, values).reshape(5, 32)
    close(seen["out"][0], expected.detach())


@pytest.mark.parametrize("name", ["vera", "randlora", "shira", "fourierft", "waveft"])
def test_random_choices_follow_the_seed(name, base):
    drawn = [delta(adapted(base, name, seed=seed), base) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0] - drawn[2]).max() > 1e-4


def complaints(folder, data, name, **options):
    fitting = {**worlds.OPTIONS.get(name, {}), **options}
    return run.prepare([worlds.job_of(folder, name, options=fitting)], data).complaints


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("c3a", {"block_size": 5}, "block_size: got 5, which must .* not divide 32; values that do: 32, 16"),
        ("boft", {"block_size": 6}, "block_size: got 6, .* inputs of all .* does not divide 32"),
        ("road", {"group_size": 10}, "group_size: got 10, .* outputs .* values that do: 32, 16, 8"),
        ("gralora", {"rank": 9, "blocks": 3}, "blocks: got 3, .* inputs and outputs .* not divide 32"),
        ("miss", {"rank": 33}, "rank: got 33, but the narrowest of the target layers has an input of .* 32"),
        ("miss", {"variant": "bat", "rank": 6}, "rank: got 6, which must divide"),
        ("miss", {"variant": "mini", "mini_rank": 7}, "mini_rank: got 7, .* outputs"),
        ("shira", {"rank": 17}, "rank: got 17, but 'attention.query' has only 1024 entries, .* at most 16"),
        ("hra", {"rank": 34, "gram_schmidt": True}, "rank: got 34, but at most 32 directions"),
        ("fourierft", {"n_frequency": 1025}, "n_frequency: got 1025, but the smallest .* has 1024 entries"),
        ("waveft", {"n_frequency": 1025}, "n_frequency: got 1025, but the smallest .* has 1024 entries"),
        ("c3a", {"targets": ("embedding",)}, "'embedding' is of the kind Embedding .* it adapts Linear"),
        ("vera", {"targets": ("mlp.gate",)}, "no role 'mlp.gate'"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit(name, options, words, folders, datasets):
    (found,) = complaints(folders["bert"], datasets["text"], name, **options)
    assert re.search(words, found), found
    assert found.startswith(name)


def test_options_at_the_limit_fit(folders, datasets):
    for name, options in (
        ("shira", {"rank": 16}),
        ("fourierft", {"n_frequency": 1024}),
        ("miss", {"rank": 32}),
        ("hra", {"rank": 32, "gram_schmidt": True}),
        ("c3a", {"block_size": 32}),
    ):
        assert complaints(folders["bert"], datasets["text"], name, **options) == ()


def test_models_that_cannot_be_adapted(folders, datasets):
    (found,) = complaints(folders["gpt2"], datasets["text"], "miss")
    assert "'attention.query' is of the kind Conv1D" in found
    (found,) = complaints(folders["llama"], datasets["text"], "bitfit")
    assert "no biases" in found
    for family, words in (
        ("distilbert", "takes no keys and values from outside"),
        ("mistral", "attend to the nearest tokens only"),
    ):
        (found,) = complaints(folders[family], datasets["text"], "prefix_tuning")
        assert words in found
    job = worlds.job_of(folders["vit"], "prefix_tuning")
    (found,) = run.prepare([job], datasets["image"]).complaints
    assert "prefix tuning adapts only models that read texts, but this one reads images" in found
    for tokens, count in ((4, 0), (5, 1)):
        job = worlds.job_of(folders["bert"], "prefix_tuning", options={"tokens": tokens}, max_length=20)
        found = run.prepare([job], datasets["text"]).complaints
        assert len(found) == count
    assert "5 virtual tokens and texts of up to 20 (training.max_length) need more than the 24" in found[0]
    job = worlds.job_of(folders["bert"], "prefix_tuning", gradient_checkpointing=True)
    (found,) = run.prepare([job], datasets["text"]).complaints
    assert "gradient_checkpointing: prefix tuning is not available with it" in found
    job = worlds.job_of(folders["bert"], "adalora", parallel="fsdp")
    (found,) = run.prepare([job], datasets["text"]).complaints
    assert "AdaLoRA is not available with fsdp" in found


def test_sizes_that_are_chosen_for_a_model_are_said(folders, datasets):
    def remarks(family, name, **options):
        job = worlds.job_of(folders[family], name, options=options)
        return [r for r in run.prepare([job], datasets["text"]).remarks if name in r]

    (found,) = remarks("llama", "c3a", targets=("attention.query", "attention.value", "mlp.up"))
    assert "block_size 16 is the largest up to 256 that divides" in found  # 32, 16 and 48
    (found,) = remarks("llama", "road", targets=("mlp.up", "attention.query"))
    assert "group_size 16" in found
    (found,) = remarks("bert", "oft", block_size=20, targets=("mlp.down",))
    assert "block_size 20 does not divide the width 48 of some layers, whose blocks have the size 16" in found
    assert remarks("bert", "c3a", block_size=8) == remarks("bert", "oft", block_size=16) == []


def test_block_sizes_of_oft_are_those_said(folders):
    base = load_base(Model(folders["bert"]), "text", ("no", "yes"), "float32")
    model = adapted(base, "oft", block_size=20, targets=("mlp.down",))
    assert layer(model, base, "mlp.down").oft_block_size["default"] == 16


def test_weight_decay_spares_factors_but_not_heads(folders):
    job = worlds.job_of(folders["bert"], "ia3")
    decays = adapt.method_hooks(job, None)["decays"]
    assert not decays("base_model.model.bert.encoder.layer.0.attention.self.key.ia3_l.default")
    assert decays("base_model.model.classifier.modules_to_save.default.weight")
    assert "decays" not in adapt.method_hooks(worlds.job_of(folders["bert"], "lora"), None)
