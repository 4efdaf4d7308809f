"""Words for a prompt: styles that are added to it, and examples for who has none. All are of the words that the
built-in model has learnt (``backend/training/captions.py``), so that each of them shows."""

from __future__ import annotations

from dataclasses import dataclass

NONE, CUSTOM = "NONE", "CUSTOM"


@dataclass(frozen=True)
class Style:
    """A named look. ``words`` are added to the prompt; ``number`` is what a .blend file keeps, so it never changes."""

    number: int
    id: str
    label: str
    words: str


STYLES = (
    Style(1, "GOLDEN", "Golden Hour", "golden hour, low golden sun"),
    Style(2, "ROSY", "Rosy Dawn", "soft pink dawn, first light"),
    Style(3, "FIERY", "Fiery Sunset", "fiery orange sunset"),
    Style(4, "BLUE_HOUR", "Blue Hour", "deep blue dusk, after sunset"),
    Style(5, "MOONLIT", "Moonlit Night", "at night, full moon"),
    Style(6, "MISTY", "Misty", "thick mist, hazy and misty"),
    Style(7, "STORMY", "Stormy", "dark threatening clouds, heavy rain"),
    Style(8, "WINTRY", "Wintry", "gently falling snow, grey clouds"),
    Style(9, "ENCHANTED", "Enchanted", "glowing fireflies, purple dusk"),
    Style(10, "OTHERWORLDLY", "Otherworldly", "alien sky, giant ringed planet"),
)

EXAMPLES = (
    "northern lights over a frozen lake",
    "golden hour over rolling hills",
    "orange sunset over a calm lake with mountains",
    "pink sunrise above a sea of clouds",
    "starry sky over the desert, milky way",
    "thunderstorm over the ocean, lightning",
    "snowfall over snowy peaks under grey clouds",
    "purple nebula in deep space",
    "red alien planet with two moons, rocky ground",
    "sunlight through water, turquoise undersea, rising bubbles",
)


def style_words(style: str, custom: str) -> str:
    """What ``style`` (an id, NONE or CUSTOM) adds to a prompt; ``custom`` are the user's own words."""
    if style == CUSTOM:
        return custom.strip()
    return next((s.words for s in STYLES if s.id == style), "")


def styled(prompt: str, words: str) -> str:
    """The prompt with the words of a style. An empty prompt stays so: a style alone is no sky."""
    return f"{prompt}, {words}" if prompt.strip() and words else prompt


def unstyled(prompt: str) -> tuple[str, str]:
    """A prompt taken apart into the user's own words and the id of the style that they were given."""
    for style in STYLES:
        own = prompt.removesuffix(f", {style.words}")
        if own != prompt and own.strip():
            return own, style.id
    return prompt, NONE
