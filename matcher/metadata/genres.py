"""The genres that ID3 gives by number (ID3v1, with Winamp's additions)."""

from __future__ import annotations

import re

_REFERENCE = re.compile(r"\(([0-9]{1,3}|RX|CR)\)")
_ALL = (
    "Blues|Classic Rock|Country|Dance|Disco|Funk|Grunge|Hip-Hop|Jazz|Metal|New Age|Oldies|Other|Pop|R&B|Rap|Reggae|Rock"
    "|Techno|Industrial|Alternative|Ska|Death Metal|Pranks|Soundtrack|Euro-Techno|Ambient|Trip-Hop|Vocal|Jazz+Funk"
    "|Fusion|Trance|Classical|Instrumental|Acid|House|Game|Sound Clip|Gospel|Noise|Alternative Rock|Bass|Soul|Punk"
    "|Space|Meditative|Instrumental Pop|Instrumental Rock|Ethnic|Gothic|Darkwave|Techno-Industrial|Electronic|Pop-Folk"
    "|Eurodance|Dream|Southern Rock|Comedy|Cult|Gangsta|Top 40|Christian Rap|Pop/Funk|Jungle|Native American|Cabaret"
    "|New Wave|Psychedelic|Rave|Showtunes|Trailer|Lo-Fi|Tribal|Acid Punk|Acid Jazz|Polka|Retro|Musical|Rock & Roll"
    "|Hard Rock|Folk|Folk-Rock|National Folk|Swing|Fast Fusion|Bebop|Latin|Revival|Celtic|Bluegrass|Avantgarde"
    "|Gothic Rock|Progressive Rock|Psychedelic Rock|Symphonic Rock|Slow Rock|Big Band|Chorus|Easy Listening|Acoustic"
    "|Humour|Speech|Chanson|Opera|Chamber Music|Sonata|Symphony|Booty Bass|Primus|Porn Groove|Satire|Slow Jam|Club"
    "|Tango|Samba|Folklore|Ballad|Power Ballad|Rhythmic Soul|Freestyle|Duet|Punk Rock|Drum Solo|A Cappella|Euro-House"
    "|Dance Hall|Goa|Drum & Bass|Club-House|Hardcore|Terror|Indie|BritPop|Worldbeat|Polsk Punk|Beat"
    "|Christian Gangsta Rap|Heavy Metal|Black Metal|Crossover|Contemporary Christian|Christian Rock|Merengue|Salsa"
    "|Thrash Metal|Anime|JPop|Synthpop|Abstract|Art Rock|Baroque|Bhangra|Big Beat|Breakbeat|Chillout|Downtempo|Dub|EBM"
    "|Eclectic|Electro|Electroclash|Emo|Experimental|Garage|Global|IDM|Illbient|Industro-Goth|Jam Band|Krautrock"
    "|Leftfield|Lounge|Math Rock|New Romantic|Nu-Breakz|Post-Punk|Post-Rock|Psytrance|Shoegaze|Space Rock|Trop Rock"
    "|World Music|Neoclassical|Audiobook|Audio Theatre|Neue Deutsche Welle|Podcast|Indie Rock|G-Funk|Dubstep"
    "|Garage Rock|Psybient"
)
GENRES = tuple(_ALL.split("|"))


def genre_names(text: str) -> list[str]:
    """What a genre frame says: "17", "(17)", "(17)(RX)Hard" and plain names."""
    names: list[str] = []
    rest = text.strip()
    while (found := _REFERENCE.match(rest)) and len(names) < 20:
        names.append(genre_name(found[1]))
        rest = rest[found.end() :]
    if rest.startswith("(("):
        rest = rest[1:]  # a bracket of its own is doubled
    # "(17)Rock" gives the number's own name as the refinement.
    return list(dict.fromkeys(name for name in (*names, genre_name(rest.strip())) if name))


def genre_name(text: str) -> str:
    """The genre of a number, or the text itself."""
    named = {"RX": "Remix", "CR": "Cover"}.get(text, text)
    if text.isascii() and text.isdigit() and len(text) <= 3:
        return GENRES[int(text)] if int(text) < len(GENRES) else ""
    return named
