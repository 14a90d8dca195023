"""One name for each tag, and what the formats call it.

Sources: the RIFF INFO list (Microsoft, 1991), id3.org's ID3v2.2 to 2.4, the Vorbis comment fields in common use, and
the `ilst` atoms that iTunes writes.
"""

from __future__ import annotations

from typing import NamedTuple


class Called(NamedTuple):
    """What the formats call one tag; the first name is written, all are read."""

    vorbis: str = ""
    id3: str = ""
    id3v22: str = ""
    info: str = ""
    mp4: str = ""


# fmt: off
NAMES: dict[str, Called] = {
    "title": Called("TITLE", "TIT2", "TT2", "INAM", "\xa9nam"),
    "artist": Called("ARTIST", "TPE1", "TP1", "IART", "\xa9ART"),
    "album": Called("ALBUM", "TALB", "TAL", "IPRD", "\xa9alb"),
    "album_artist": Called("ALBUMARTIST ALBUM_ARTIST", "TPE2", "TP2", "", "aART"),
    "track": Called("TRACKNUMBER TRACK", "TRCK", "TRK", "ITRK IPRT"),
    "disc": Called("DISCNUMBER DISC", "TPOS", "TPA"),
    "date": Called("DATE YEAR", "TDRC TYER", "TYE", "ICRD", "\xa9day"),
    "genre": Called("GENRE", "TCON", "TCO", "IGNR", "\xa9gen"),
    "comment": Called("COMMENT", "COMM", "COM", "ICMT", "\xa9cmt"),
    "copyright": Called("COPYRIGHT", "TCOP", "TCR", "ICOP", "cprt"),
    "isrc": Called("ISRC", "TSRC", "TRC"),
    "composer": Called("COMPOSER", "TCOM", "TCM", "", "\xa9wrt"),
    "lyricist": Called("LYRICIST", "TEXT", "TXT"),
    "conductor": Called("CONDUCTOR", "TPE3", "TP3"),
    "remixer": Called("REMIXER", "TPE4", "TP4"),
    "label": Called("LABEL ORGANIZATION PUBLISHER", "TPUB", "TPB", "", "\xa9pub"),
    "bpm": Called("BPM TEMPO", "TBPM", "TBP"),
    "key": Called("INITIALKEY KEY", "TKEY", "TKE"),
    "lyrics": Called("LYRICS UNSYNCEDLYRICS", "USLT", "ULT", "", "\xa9lyr"),
    "barcode": Called("BARCODE UPC EAN EAN/UPN"),
    "software": Called("SOFTWARE", "", "", "ISFT"),
    "engineer": Called("ENGINEER", "", "", "IENG"),
    "technician": Called("TECHNICIAN", "", "", "ITCH"),
    "subtitle": Called("SUBTITLE", "TIT3", "TT3"),
    "grouping": Called("GROUPING", "TIT1", "TT1", "", "\xa9grp"),
    "language": Called("LANGUAGE", "TLAN", "TLA", "ILNG"),
    "media": Called("MEDIA", "TMED", "TMT", "IMED"),
    "mood": Called("MOOD", "TMOO"),
    "compilation": Called("COMPILATION", "TCMP", "TCP"),
    "original_artist": Called("ORIGINALARTIST", "TOPE", "TOA"),
    "original_album": Called("ORIGINALALBUM", "TOAL", "TOT"),
    "original_date": Called("ORIGINALDATE", "TDOR TORY", "TOR"),
    "title_sort": Called("TITLESORT", "TSOT", "TST"),
    "artist_sort": Called("ARTISTSORT", "TSOP", "TSP"),
    "album_sort": Called("ALBUMSORT", "TSOA", "TSA"),
    "encoder": Called("ENCODER", "TSSE", "TSS", "", "\xa9too"),
    "encoded_by": Called("ENCODED-BY ENCODEDBY", "TENC", "TEN", "", "\xa9enc"),
    "length": Called("LENGTH", "TLEN", "TLE"),
    "source": Called("SOURCE", "", "", "ISRC"),  # RIFF's ISRC names who supplied the sound: it is not the code
    "source_form": Called("SOURCEFORM", "", "", "ISRF"),
    "subject": Called("SUBJECT", "", "", "ISBJ"),
    "keywords": Called("KEYWORDS", "", "", "IKEY"),
    "commissioned": Called("COMMISSIONED", "", "", "ICMS"),
    "archive": Called("ARCHIVE", "", "", "IARL"),
}
# fmt: on

ID3_TEXTS = ("TFLT", "TOFN", "TOLY", "TOWN", "TRSN", "TRSO", "TDLY")
"""Text frames that have no name of ours: they keep their id as their name."""
ID3_ADDRESSES = ("WCOM", "WCOP", "WOAF", "WOAR", "WOAS", "WORS", "WPAY", "WPUB")
"""So do these, which hold one address each."""

FROM_VORBIS = {called: name for name, row in NAMES.items() for called in row.vorbis.lower().split()}
FROM_VORBIS["album artist"] = "album_artist"
FROM_ID3 = {called: name for name, row in NAMES.items() for called in f"{row.id3} {row.id3v22}".split()}
FROM_INFO = {called: name for name, row in NAMES.items() for called in row.info.split()}
FROM_MP4 = {row.mp4: name for name, row in NAMES.items() if row.mp4}


def own_name(called: str) -> str:
    """Our name for a Vorbis comment, a TXXX description or a free-form atom; its own in lower case otherwise."""
    lower = called.strip().lower()
    return FROM_VORBIS.get(lower, lower)


def is_alias(called: str) -> bool:
    """Whether a Vorbis comment bears a name that we read but do not write."""
    own = FROM_VORBIS.get(called.lower())
    return own is not None and vorbis_name(own) != called.upper()


def vorbis_name(name: str) -> str:
    """What a tag of ours is called in a Vorbis comment; "" where such a field name is not allowed."""
    called = NAMES[name].vorbis.split()[0] if name in NAMES else name.upper()
    allowed = bool(called) and all(" " <= letter <= "}" and letter != "=" for letter in called)
    # Kept in capitals and read in small letters: a name that does not survive both is not ours to write.
    return called if allowed and (name in NAMES or own_name(called) == name) else ""


def info_ids(name: str) -> list[str]:
    """The INFO chunks that hold a tag; an unknown four-letter name that begins with i is such an id itself."""
    if name in NAMES:
        return NAMES[name].info.split()
    is_id = len(name) == 4 and name.isascii() and name.isalnum() and name.startswith("i")
    return [name.upper()] if is_id and name.upper() not in FROM_INFO else []
