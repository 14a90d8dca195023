#!/bin/sh
# Learns what ships in references/ anew: MUSIC is a folder with one folder an album, MATCH the command.
set -eu
MATCH=${MATCH:-match}
HERE=$(dirname "$0")

learn() { # name, folder, where from, licence
    "$MATCH" learn "$MUSIC/$2" --name "$1" -o "$HERE/$1.json" --source "$3" --licence "$4" --force
}

learn chiptune chiptune__eric-skiff-resistor-anthems "Eric Skiff, from the game Tuxemon" "CC-BY-SA-4.0"
learn downtempo downtempo-electronic__kpone-openclonk "K-Pone, from the game OpenClonk" "CC-BY-3.0"
learn folk folk-historical__unknown-horizons "Unknown Horizons audio team, from the game Unknown Horizons" "CC-BY-SA-3.0"
learn lofi lofi-hiphop__holiznacc0-winter-lofi "HoliznaCC0, Winter Lo-Fi" "CC0-1.0"
learn metal metal__obsidian-shell "Obsidian Shell (Henrik Csato), from the game M.A.R.S." "CC-BY-SA-3.0"
learn orchestral-game lossless-game__monster-rpg-2 "Nooskewl, from the game Monster RPG 2" "zlib-style, docs/LICENSE.txt there"
