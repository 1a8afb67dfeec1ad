"""Start pictures: encoded once while they come again, and let go so that they do not fill the device."""

from types import SimpleNamespace

import numpy as np
import torch

from idgen.sampling.starts import MAX_BYTES, Starts


class Vae:
    """Encodes to 8 numbers a place, float32, as SDXL's does."""

    device, dtype, config = torch.device("cpu"), torch.float32, SimpleNamespace(scaling_factor=1.0)

    def encode(self, pixels):
        """Means of each picture's values, and no spread."""
        means = pixels.mean() * torch.ones(1, 4, *(side // 8 for side in pixels.shape[-2:]))
        return SimpleNamespace(latent_dist=SimpleNamespace(parameters=torch.cat([means, -30 + 0 * means], 1)))


def picture(value, side=64):
    return np.full((side, side, 3), value, np.uint8)


def get(starts, value):
    return starts.get(picture(value), torch.Generator().manual_seed(1))


def test_a_picture_is_encoded_once_and_the_draw_is_the_rows_own():
    starts = Starts(Vae())
    first, again, other = get(starts, 10), get(starts, 10), get(starts, 200)
    assert starts.encodings == 2
    assert torch.equal(first, again)
    assert (other - first).abs().min() > 1


def test_pictures_that_do_not_come_again_fill_no_more_than_their_room():
    each = 8 * 8 * 8 * 4
    starts = Starts(Vae(), max_bytes=3 * each)
    for value in (1, 2, 3, 4, 5):
        get(starts, value)
    assert starts._moments._size == 3 * each
    get(starts, 5)
    assert starts.encodings == 5
    get(starts, 1)
    assert starts.encodings == 6


def test_the_room_is_for_some_hundred_pictures_of_1024_px():
    assert MAX_BYTES // (8 * 128 * 128 * 4) == 128
