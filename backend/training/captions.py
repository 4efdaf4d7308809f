"""Natural phrasings of scenes. ``HELD_OUT`` are synonyms that no caption uses: they test what was learnt."""

from __future__ import annotations

import random

from .attributes import Scene

SKIES: dict[str, tuple[str, ...]] = {
    "clear": (
        "clear sky",
        "cloudless sky",
        "open sky",
        "bright clear sky",
        "sky without clouds",
        "clean empty sky",
        "fair weather",
        "fine clear weather",
        "pure sky",
    ),
    "scattered": (
        "scattered clouds",
        "fluffy clouds",
        "puffy white clouds",
        "drifting cumulus clouds",
        "broken clouds",
        "cloudy sky with gaps",
        "cotton clouds",
        "partly cloudy sky",
        "passing clouds",
    ),
    "wispy": (
        "wispy clouds",
        "cirrus clouds",
        "thin high clouds",
        "feathery clouds",
        "streaks of cloud",
        "delicate veils of cloud",
        "brushed cirrus",
        "mare's tails high up",
    ),
    "overcast": (
        "overcast sky",
        "grey clouds",
        "thick cloud cover",
        "dull gray sky",
        "a blanket of clouds",
        "heavy grey sky",
        "gloomy clouds",
        "sunless cloudy sky",
    ),
    "storm": (
        "storm clouds",
        "thunderstorm",
        "stormy sky",
        "dark threatening clouds",
        "a brewing storm",
        "thunderclouds",
        "raging storm",
        "black storm front",
        "tempestuous weather",
    ),
    "fog": (
        "fog",
        "thick mist",
        "misty air",
        "foggy weather",
        "dense haze",
        "a veil of fog",
        "hazy and misty",
        "lost in fog",
    ),
    "stars": (
        "starry sky",
        "night full of stars",
        "stars",
        "star-filled sky",
        "a million stars",
        "starlit night",
        "clear night sky with stars",
        "sparkling stars",
        "constellations",
    ),
    "aurora": (
        "aurora",
        "northern lights",
        "aurora borealis",
        "polar lights",
        "curtains of light",
        "dancing aurora",
        "southern lights",
        "glowing aurora ribbons",
        "shimmering northern lights",
    ),
    "nebula": (
        "nebula",
        "deep space",
        "cosmic clouds",
        "outer space",
        "interstellar gas clouds",
        "galaxy",
        "space nebula",
        "cosmos full of stars",
        "glowing nebula in space",
    ),
    "alien": (
        "alien sky",
        "alien planet",
        "another world",
        "sky of a distant planet",
        "extraterrestrial sky",
        "sci-fi planet",
        "strange alien world",
        "exoplanet",
    ),
    "underwater": (
        "underwater",
        "under the sea",
        "beneath the waves",
        "below the surface of the ocean",
        "submerged",
        "deep under water",
        "undersea",
        "diving in the ocean",
        "sunlight through water",
    ),
}
TIMES: dict[str, tuple[str, ...]] = {
    "sunrise": ("sunrise", "dawn", "daybreak", "early morning", "first light", "the rising sun", "morning glow"),
    "day": ("day", "noon", "midday", "daytime", "bright daylight", "sunny day", "afternoon", "high sun"),
    "golden": (
        "golden hour",
        "late afternoon",
        "warm evening light",
        "low golden sun",
        "golden light",
        "mellow afternoon sun",
    ),
    "sunset": ("sunset", "sundown", "evening", "the setting sun", "evening glow", "end of the day", "sun going down"),
    "dusk": ("dusk", "twilight", "nightfall", "blue hour", "after sunset", "fading light", "late evening"),
    "night": ("night", "nighttime", "midnight", "dark night", "the dead of night", "at night", "nocturnal"),
}
GROUNDS: dict[str, tuple[str, ...]] = {
    "sea": (
        "sea",
        "ocean",
        "ocean waves",
        "open water",
        "rolling sea",
        "waves",
        "the high seas",
        "seascape",
        "choppy ocean",
    ),
    "lake": (
        "calm lake",
        "mirror lake",
        "still water",
        "lake",
        "reflections in a lake",
        "glassy water",
        "quiet pond",
        "mirror-like water",
    ),
    "snow": (
        "snow",
        "tundra",
        "snowfield",
        "frozen plain",
        "ice",
        "arctic landscape",
        "snowy plain",
        "white winter land",
        "frozen tundra",
    ),
    "desert": (
        "desert",
        "sand dunes",
        "dunes",
        "sahara",
        "sandy desert",
        "endless sand",
        "arid sands",
        "rolling dunes",
    ),
    "grass": (
        "meadow",
        "grassland",
        "green field",
        "prairie",
        "grass",
        "grassy plain",
        "pasture",
        "savanna",
        "wide green meadow",
    ),
    "lava": (
        "lava",
        "lava field",
        "molten rock",
        "volcanic ground",
        "magma",
        "rivers of lava",
        "glowing lava",
        "volcano",
    ),
    "rock": (
        "rocky ground",
        "bare rocks",
        "barren stone",
        "rocky wasteland",
        "stony plain",
        "boulders",
        "rugged rock",
        "gravel and stone",
    ),
    "clouds": (
        "sea of clouds",
        "above the clouds",
        "cloud tops",
        "over the clouds",
        "carpet of clouds below",
        "flying above clouds",
        "ocean of clouds",
    ),
    "seabed": (
        "seabed",
        "sandy sea floor",
        "ocean floor",
        "sand on the bottom",
        "sea bottom",
        "shallow seabed",
        "reef sand",
    ),
    "none": ("open horizon",),
}
RIDGES: dict[str, tuple[str, ...]] = {
    "mountains": (
        "mountains",
        "distant peaks",
        "mountain range",
        "mountains on the horizon",
        "rocky mountains",
        "layers of mountains",
        "mountain silhouettes",
    ),
    "snowcaps": (
        "snow-capped mountains",
        "snowy peaks",
        "white mountains",
        "the alps",
        "icy mountains",
        "snow covered summits",
        "alpine peaks",
    ),
    "hills": (
        "hills",
        "rolling hills",
        "gentle hills",
        "low hills on the horizon",
        "hilly country",
        "soft ridges",
        "distant hills",
    ),
    "forest": (
        "forest",
        "pine trees",
        "woods",
        "pine forest",
        "dark trees on the horizon",
        "spruce forest",
        "treeline",
        "conifers",
    ),
    "city": (
        "city skyline",
        "skyscrapers",
        "city",
        "city lights",
        "towers of a city",
        "distant city",
        "urban skyline",
        "high-rise buildings",
    ),
    "islands": (
        "islands",
        "rocky islands",
        "islands on the horizon",
        "cliffs",
        "distant islands",
        "island silhouettes",
        "archipelago",
    ),
}
WEATHERS: dict[str, tuple[str, ...]] = {
    "rain": ("rain", "heavy rain", "rainy", "pouring rain", "rainfall", "falling rain", "rain shower", "downpour"),
    "snowfall": (
        "snowfall",
        "falling snow",
        "snowing",
        "snowflakes",
        "gently falling snow",
        "flurries of snow",
        "snow shower",
    ),
    "fireflies": (
        "fireflies",
        "glowing fireflies",
        "floating lights",
        "lightning bugs",
        "magical sparks",
        "dancing fireflies",
    ),
    "embers": (
        "embers",
        "flying sparks",
        "glowing embers",
        "drifting sparks",
        "sparks in the air",
        "fiery embers rising",
    ),
    "dust": ("dust storm", "sandstorm", "blowing sand", "dusty air", "swirling dust", "sand in the wind"),
    "bubbles": (
        "bubbles",
        "air bubbles",
        "rising bubbles",
        "streams of bubbles",
        "bubbles floating up",
        "small bubbles",
    ),
}
FEATURES: dict[str, tuple[str, ...]] = {
    "moon": ("moon", "full moon", "moonlight", "moonlit", "bright moon", "the moon shining"),
    "milkyway": (
        "milky way",
        "the band of the milky way",
        "our galaxy overhead",
        "milky way galaxy",
        "galactic core",
        "milky way arch",
    ),
    "meteors": ("shooting stars", "meteors", "meteor shower", "falling stars", "shooting star streaks", "perseids"),
    "lightning": (
        "lightning",
        "flashes of lightning",
        "lightning bolts",
        "lightning strikes",
        "thunder and lightning",
        "bolts of lightning",
    ),
    "planet": (
        "giant planet",
        "huge planet in the sky",
        "gas giant",
        "a large planet",
        "planet rising",
        "enormous planet",
    ),
    "ringed": (
        "ringed planet",
        "planet with rings",
        "saturn-like planet",
        "rings of a planet",
        "giant ringed planet",
        "saturn",
    ),
    "moons": ("two moons", "twin moons", "a pair of moons", "double moons", "moons in the sky", "alien moons"),
}
HUES: dict[str, tuple[str, ...]] = {
    "orange": ("orange", "amber", "fiery orange", "burning", "tangerine", "warm orange"),
    "pink": ("pink", "rose", "rosy", "magenta", "soft pink", "pastel pink"),
    "purple": ("purple", "violet", "lilac", "lavender", "deep purple", "indigo violet"),
    "red": ("red", "crimson", "scarlet", "blood red", "deep red", "ruby"),
    "green": ("green", "emerald", "vivid green", "lime", "jade", "bright green"),
    "blue": ("blue", "azure", "deep blue", "cobalt", "sapphire", "navy blue"),
    "teal": ("teal", "cyan", "blue-green", "aqua", "turquoise green", "sea green"),
    "gold": ("golden", "gold", "yellow", "honey coloured", "warm yellow", "gilded"),
    "turquoise": ("turquoise", "tropical blue", "aquamarine", "clear turquoise", "caribbean", "bright turquoise"),
    "grey": ("grey", "gray", "leaden", "slate", "steel grey", "ashen"),
}
STYLES = (
    "cinematic",
    "beautiful",
    "photorealistic",
    "8k",
    "calm",
    "epic",
    "dreamy",
    "highly detailed",
    "panorama",
    "360",
    "majestic",
    "vivid",
)

HELD_OUT: dict[str, dict[str, tuple[str, ...]]] = {
    "sky": {
        "clear": ("unclouded heavens", "spotless firmament"),
        "scattered": ("cumuli", "woolly cloudlets"),
        "wispy": ("gauzy cloud filaments", "gossamer strands aloft"),
        "overcast": ("leaden stratus", "drab murky ceiling"),
        "storm": ("squall", "hurricane"),
        "fog": ("brume", "smog"),
        "stars": ("stargazing", "astral firmament"),
        "aurora": ("auroral display", "lights of the north pole"),
        "nebula": ("stellar nursery", "stardust universe"),
        "alien": ("otherworldly planetscape", "martian heavens"),
        "underwater": ("scuba", "marine depths"),
    },
    "time": {
        "sunrise": ("sunup", "cockcrow"),
        "day": ("noontime", "broad sunshine"),
        "golden": ("honeyed rays", "slanting sunbeams"),
        "sunset": ("eventide", "sun dipping away"),
        "dusk": ("gloaming", "crepuscular"),
        "night": ("after dark", "nightly"),
    },
    "ground": {
        "sea": ("swell of the atlantic", "pacific"),
        "lake": ("loch", "tarn"),
        "snow": ("antarctica", "glacier"),
        "desert": ("gobi", "sandbanks"),
        "grass": ("steppe", "lawn"),
        "lava": ("eruption", "volcanic inferno"),
        "rock": ("cobbles", "craggy terrain"),
        "clouds": ("from an airplane", "aerial cloudscape"),
        "seabed": ("coral", "lagoon floor"),
    },
    "ridge": {
        "mountains": ("sierra", "massif"),
        "snowcaps": ("himalaya", "matterhorn"),
        "hills": ("knolls", "downs"),
        "forest": ("taiga", "fir grove"),
        "city": ("metropolis", "downtown manhattan"),
        "islands": ("islets", "atolls"),
    },
    "weather": {
        "rain": ("drizzle", "cloudburst"),
        "snowfall": ("blizzard", "sleet"),
        "fireflies": ("glowworms", "luminous insects"),
        "embers": ("cinders", "burning ash"),
        "dust": ("haboob", "grit gale"),
        "bubbles": ("fizz", "effervescence"),
    },
}


def _bare(phrase: str) -> str:
    return phrase.removeprefix("a ").removeprefix("the ")


def _sky_phrase(scene: Scene, rng: random.Random) -> str:
    phrase = rng.choice(SKIES[scene.sky])
    if scene.time != "day":
        phrase = phrase.removeprefix("bright ")
    if scene.hue in HUES and scene.sky in ("aurora", "nebula", "alien", "underwater", "storm") and rng.random() < 0.75:
        return f"{rng.choice(HUES[scene.hue])} {_bare(phrase)}"
    return phrase


def _time_phrase(scene: Scene, rng: random.Random) -> str:
    dull = scene.sky in ("overcast", "storm", "fog")
    phrases = [
        p
        for p in TIMES[scene.time]
        if not dull or not any(w in p for w in ("sunny", "bright", "high sun", "golden sun"))
    ]
    phrase = rng.choice(phrases).removeprefix("at ")
    if (
        scene.time in ("sunrise", "sunset", "dusk")
        and scene.hue in HUES
        and scene.sky != "storm"
        and rng.random() < 0.75
    ):
        article, bare = ("the ", phrase.removeprefix("the ")) if phrase.startswith("the ") else ("", phrase)
        return f"{article}{rng.choice(HUES[scene.hue])} {bare}"
    return phrase


def _ground_phrase(scene: Scene, rng: random.Random) -> str:
    phrase = rng.choice(GROUNDS[scene.ground])
    if (
        scene.ground == "sea"
        and scene.hue in HUES
        and scene.time == "day"
        and scene.sky in ("clear", "scattered", "wispy")
    ):
        return f"{rng.choice(HUES[scene.hue])} {_bare(phrase)}" if rng.random() < 0.8 else phrase
    return phrase


def caption(scene: Scene, rng: random.Random) -> str:
    """A random description in plain English; each attribute is left out now and then, but never all of them."""

    def keep(chance: float = 0.85) -> bool:
        return rng.random() < chance

    sky = _sky_phrase(scene, rng) if keep(0.92) else ""
    time = (
        _time_phrase(scene, rng)
        if scene.time in TIMES and keep(0.55 if scene.sky in ("stars", "aurora") else 0.85)
        else ""
    )
    ground = _ground_phrase(scene, rng) if keep(0.85 if scene.ground != "none" else 0.05) else ""
    ridge = rng.choice(RIDGES[scene.ridge]) if scene.ridge in RIDGES and keep() else ""
    weather = rng.choice(WEATHERS[scene.weather]) if scene.weather in WEATHERS and keep() else ""
    feature = rng.choice(FEATURES[scene.feature]) if scene.feature in FEATURES and keep() else ""
    form = rng.random()
    extras = [w for w in (ridge, weather, feature) if w]
    rng.shuffle(extras)
    if form < 0.40 and sky and ground:
        over = rng.choice(("over", "above", "over the"))
        under = rng.choice(("under", "beneath", "below"))
        text = f"{sky} {over} {_bare(ground)}" if rng.random() < 0.6 else f"{ground} {under} {sky}"
        if ridge and rng.random() < 0.4:
            extras.remove(ridge)
            text += rng.choice((f" with {ridge}", f" and {ridge}", f", {ridge} behind"))
        if time:
            text += rng.choice((f" at {time}", f", {time}", f" in {time}")) if rng.random() < 0.7 else ""
        text = ", ".join([text, *extras])
    elif form < 0.55 and time and (ground or ridge):
        text = ", ".join(
            w
            for w in (
                f"{time} {rng.choice(('over', 'at', 'in', 'on'))} {ground or ridge}",
                sky,
                *(e for e in extras if ground or e != ridge),
            )
            if w
        )
    elif form < 0.65 and extras and sky:
        text = f"{sky} {rng.choice(('with', 'and'))} {extras[0]}"
        text = ", ".join(w for w in (text, ground, time, *extras[1:]) if w)
    else:
        words = [w for w in (sky, time, ground, *extras) if w]
        rng.shuffle(words)
        text = ", ".join(words)
    text = text or rng.choice(SKIES[scene.sky])
    if rng.random() < 0.2:
        style = rng.choice(STYLES)
        text = f"{style} {text}" if rng.random() < 0.4 else f"{text}, {style}"
    return text
