"""What people wear and how their hair is cut."""

from dataclasses import dataclass

import numpy as np

from shared.scenes.draws import HAIR, SKIN, Colour, chance, colour, near, pick, tone, weighted


@dataclass(frozen=True)
class Outfit:
    """Colours and cuts of one person.  `sleeve` and `leg` are the covered share of the arm and of the leg."""

    skin: Colour
    hair: Colour
    cut: str  # "short", "long", "bald" or "hat"
    hat: Colour
    shirt: Colour
    pattern: str  # "plain", "stripes" or "print"
    ink: Colour  # of the pattern
    sleeve: float
    trousers: Colour
    leg: float
    skirt: bool
    shoes: Colour
    bag: str  # "", "backpack" or "handbag"
    leather: Colour


def draw_outfit(rng: np.random.Generator) -> Outfit:
    """Anything goes with anything, except that trousers are rarely the shirt's colour."""
    shirt = colour(rng)
    trousers = weighted(
        rng,
        ((colour(rng), 4), (near(rng, (44, 52, 82), 22), 3), (near(rng, (38, 36, 38), 14), 2), (shirt, 1)),
    )
    skirt = chance(rng, 0.12)
    return Outfit(
        skin=near(rng, pick(rng, SKIN), 12),
        hair=near(rng, pick(rng, HAIR), 12),
        cut=weighted(rng, (("short", 11), ("long", 6), ("bald", 1), ("hat", 3))),
        hat=colour(rng),
        shirt=shirt,
        pattern=weighted(rng, (("plain", 6), ("stripes", 2), ("print", 2))),
        ink=tone(shirt, 150) if chance(rng, 0.4) else colour(rng),
        sleeve=weighted(rng, ((0.0, 2), (0.28, 4), (1.0, 6))),
        trousers=trousers,
        leg=0.3 if skirt else weighted(rng, ((0.36, 3), (1.0, 8))),
        skirt=skirt,
        shoes=weighted(rng, ((colour(rng), 3), (near(rng, (40, 34, 32), 14), 3), (near(rng, (225, 225, 222), 14), 2))),
        bag=weighted(rng, (("", 16), ("backpack", 2), ("handbag", 2))),
        leather=colour(rng, 20, 160),
    )
