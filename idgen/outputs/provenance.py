"""The metadata in a picture: an XMP packet that we write whole. Nothing of any input file is ever in it."""

import json
from collections.abc import Mapping
from typing import Literal
from xml.sax.saxutils import escape

from idgen import __version__

Level = Literal["public", "full", "none"]

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""Of a picture that holds pixels of a photo (paste_back)."""
SOFTWARE = f"idgen {__version__}"
MAX_PACKET_BYTES = 60_000
"""JPEG holds one packet in one segment of 65,535 bytes."""

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:idgen="urn:idgen:1">
{properties}
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def xmp_packet(asked: Mapping[str, object], run_id: str, level: Level) -> bytes:
    """Return the packet for what was asked (ledger columns), UTF-8; empty for level "none".

    `public`: DigitalSourceType (trainedAlgorithmicMedia; compositeWithTrainedAlgorithmicMedia with paste_back),
    software, key, run. `full` adds prompts, seed, recipe and settings; it falls back to `public` when that would not
    fit into a JPEG.
    """
    if level == "none":
        return b""
    settings = json.loads(str(asked["settings"]))
    public = {
        "Iptc4xmpExt:DigitalSourceType": COMPOSITE_SOURCE_TYPE if settings.get("paste_back") else DIGITAL_SOURCE_TYPE,
        "xmp:CreatorTool": SOFTWARE,
        "idgen:key": asked["key"],
        "idgen:run": run_id,
    }
    if level == "full":
        full = public | {
            "idgen:recipe": asked["recipe"],
            "idgen:prompt": asked["prompt"],
            "idgen:negativePrompt": asked["negative_prompt"],
            "idgen:seed": str(asked["seed"]),
            "idgen:settings": json.dumps(
                {**settings, "width": asked["width"], "height": asked["height"]}, ensure_ascii=False
            ),
        }
        packet = _packet(full)
        if len(packet) <= MAX_PACKET_BYTES:
            return packet
    return _packet(public)


def _packet(properties: Mapping[str, object]) -> bytes:
    lines = [f"<{name}>{escape(_xml_text(str(value)))}</{name}>" for name, value in properties.items()]
    return _PACKET.format(properties="\n".join(lines)).encode()


def _xml_text(text: str) -> str:
    """Replace what XML 1.0 cannot hold in any spelling: control characters, surrogates, two non-characters."""
    return "".join(
        char
        if char in "\t\n\r" or (char >= " " and not "\ud800" <= char <= "\udfff" and char not in "\ufffe\uffff")
        else "\ufffd"
        for char in text
    )
