"""Say which weights recipes load, whether they are here and right, and get them.

    python jobs/weights.py list                                  every recipe, every base: what, where, how large
    python jobs/weights.py check recipe=faceid-sdxl              there, right sha256, right kind of file? exit 0 or 2
    python jobs/weights.py fetch recipe=faceid-sdxl              get what is missing; a cut transfer goes on
    python jobs/weights.py fetch recipe=faceid-sdxl@sdxl-lightning-4step
    python jobs/weights.py convert weights.source=a.bin weights.target=a.safetensors
    python jobs/weights.py convert weights.source=face_detection_yunet.onnx weights.target=pack/det.onnx   and sface

Only fetch uses the network; runs never do. Hub files go to the hub's own cache (HF_HOME), face packs to
~/.insightface/models.
"""

import sys

from idgen.driver.weights import weights_main

if __name__ == "__main__":
    sys.exit(weights_main(__doc__))
