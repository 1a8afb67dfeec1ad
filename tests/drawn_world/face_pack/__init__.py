"""Trains the face pack of the drawn people: `python -m drawn_world.face_pack.detector` and `….recogniser`.

What came out lies in idgen/tiny/facepack; its README has commands and figures.
"""
