#!/bin/sh
# make_sid.sh DIR: the newest Debian (sid) with Blender, Godot, a virtual screen and a simulated headset, in the folder DIR.
# For root on a Debian-like system, from the package mirror that the system itself uses. It installs nothing on that
# system: mmdebstrap, where it is missing, is unpacked beside DIR for the moment. About 90 s, 1.7 GB.
set -eu
DIR=$1
SCRATCH=$(mktemp -d "$DIR.tools.XXXX")
trap 'rm -rf "$SCRATCH"' EXIT

# Blender; what its own add-ons import (without cattr there are no extensions); GL and Vulkan in software.
PACKAGES=blender,python3-cattr,python3-numpy,python3-requests,python3-zstandard,ca-certificates
PACKAGES=$PACKAGES,libgl1,libegl1,libgl1-mesa-dri,mesa-vulkan-drivers
# The screen, its pictures, the words in them, a mouse.
PACKAGES=$PACKAGES,xvfb,ffmpeg,tesseract-ocr,xdotool
# What reads exports: an engine, metadata of pictures and films, a C# compiler.
PACKAGES=$PACKAGES,godot,libimage-exiftool-perl,mono-mcs
# OpenXR with a headset that moves by itself.
PACKAGES=$PACKAGES,monado-service,libopenxr1-monado

MMDEBSTRAP=$(command -v mmdebstrap || true)
if [ -z "$MMDEBSTRAP" ]; then
  # Lists of its own: a slim image has none, and the system's are not ours to change.
  mkdir -p "$SCRATCH/lists/partial" "$SCRATCH/archives/partial"
  apt() { apt-get -q -o "Dir::State::lists=$SCRATCH/lists" -o "Dir::Cache::archives=$SCRATCH/archives" -o APT::Sandbox::User=root "$@"; }
  apt update
  (cd "$SCRATCH" && apt download mmdebstrap)
  dpkg-deb -x "$SCRATCH"/mmdebstrap_*.deb "$SCRATCH"
  MMDEBSTRAP=$SCRATCH/usr/bin/mmdebstrap
fi

# The system's own mirror when that is Debian's; mmdebstrap knows the public one.
SOURCE=
if grep -qx 'ID=debian' /etc/os-release; then
  MIRROR=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
  [ -n "$MIRROR" ] && SOURCE="deb $MIRROR sid main"
fi

"$MMDEBSTRAP" --mode=root --variant=apt --format=directory --skip=check/empty \
  --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
  --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --include="$PACKAGES" sid "$DIR" ${SOURCE:+"$SOURCE"}
mkdir -p "$DIR/host"  # where the tests show it the system's own files
# Debian's Blender has its translations, but not the list of them that its preferences offer.
printf '1:English:en_US\n2:Japanese:ja_JP\n5:German:de_DE\n13:Simplified Chinese:zh_HANS\n' >"$DIR/usr/share/locale/languages"
