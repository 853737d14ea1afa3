import torch
from clouds import cloud

from weft.sparse.coord_conv import normalised_coordinates
from weft.sparse.decoder import Decoder
from weft.sparse.tensor import SparseTensor
from weft.sparse.uresnet import UResNet


def test_a_second_decoder_with_the_weights_of_the_first_gives_its_map() -> None:
    torch.manual_seed(0)
    trunk, second = UResNet(1, 4, 3, 2), Decoder([4, 8, 12], 2)
    second.load_state_dict({k: v for k, v in trunk.state_dict().items() if k.split(".")[0] in ("up", "decoder")})
    coords = cloud(1, 300)
    x = SparseTensor.from_points(coords, torch.randn(len(coords), 1))
    maps = trunk.eval()(x)
    torch.testing.assert_close(second.eval()(maps.encoder).features, maps.final.features)


def test_an_image_spans_minus_one_to_one() -> None:
    coords = torch.tensor([[0, 0, 32, 64], [1, 16, 48, -64]], dtype=torch.int32)
    expected = torch.tensor([[-1.0, 0.0, 1.0], [-0.5, 0.5, -3.0]])
    torch.testing.assert_close(normalised_coordinates(coords, 64), expected)
